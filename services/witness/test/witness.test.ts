import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { encodeBase64, encodeHex, encodeUtf8, sha256 } from "@sotto/base";
import {
  consistencyProof,
  generateSigner,
  HashTree,
  leafHash,
  noteKeyType,
  parseNote,
  parseSignatureLine,
  type Signer,
  serializeCheckpoint,
  serializeNote,
  signNote,
  verifyCosignature,
} from "@sotto/log";
import { openCheckpointStore } from "../src/checkpoint-store.ts";
import { createWitness } from "../src/witness.ts";

const base = mkdtempSync(join(tmpdir(), "sotto-witness-"));
after(() => rmSync(base, { recursive: true, force: true }));
const log = await generateSigner("log.example", noteKeyType.ed25519);
const other = await generateSigner("other.example", noteKeyType.ed25519);
const witness = await generateSigner("witness.example", noteKeyType.cosignature);
const nowMs = 1_800_000_000_000;
let files = 0;

function open(path = join(base, `${files++}.sqlite`)) {
  const store = openCheckpointStore(path);
  const handle = createWitness({ signer: witness, logs: [log, other], store, clock: () => nowMs });
  const add = (body: string): Promise<Response> =>
    handle(new Request("http://witness.invalid/add-checkpoint", { method: "POST", body }));
  return { handle, add, path, close: () => store.close() };
}

/** A tree whose leaves are `name 0`, `name 1`, ...: trees of one name are prefixes of each other. */
function treeOf(size: number, name = "leaf", common = 0): HashTree {
  const tree = new HashTree();
  for (let index = 0; index < size; index += 1) {
    tree.append(leafHash(encodeUtf8(`${index < common ? "leaf" : name} ${index}`)));
  }
  return tree;
}

async function signed(tree: HashTree, signer: Signer = log, origin = signer.name): Promise<string> {
  const text = serializeCheckpoint({ origin, size: tree.size, root: tree.root() });
  return serializeNote(await signNote(text, [signer]));
}

async function bodyFor(old: number, tree: HashTree, checkpoint = signed(tree)): Promise<string> {
  const proof = consistencyProof(Math.min(old, tree.size), tree.size, tree.read);
  return `old ${old}\n${proof.map((hash) => `${encodeBase64(hash)}\n`).join("")}\n${await checkpoint}`;
}

async function statusOf(response: Promise<Response>): Promise<number> {
  const { status, headers } = await response;
  if (status === 409) assert.equal(headers.get("content-type"), "text/x.tlog.size");
  return status;
}

test("a log that grows is cosigned at each size, and the cosignature holds for that tree alone", async () => {
  const { add, handle } = open();
  let old = 0;
  for (const size of [1, 2, 7, 7, 300]) {
    const tree = treeOf(size);
    const response = await add(await bodyFor(old, tree));
    assert.equal(response.status, 200, `size ${size}`);
    const line = parseSignatureLine((await response.text()).trimEnd());
    const { text } = parseNote(await signed(tree));
    const seen = await verifyCosignature({ text, signatures: [line] }, witness);
    assert.deepEqual(seen, { name: "witness.example", timestampMs: nowMs });
    const { text: larger } = parseNote(await signed(treeOf(size + 1)));
    await assert.rejects(verifyCosignature({ text: larger, signatures: [line] }, witness), {
      code: "bad-signature",
    });
    old = size;
  }
  const path = `http://witness.invalid/${encodeHex(sha256(encodeUtf8(log.name)))}/checkpoint`;
  const note = parseNote(await (await handle(new Request(path))).text());
  assert.equal(note.text, parseNote(await signed(treeOf(300))).text);
  assert.equal((await verifyCosignature(note, witness))?.timestampMs, nowMs);
});

test("who guesses the size wrongly is told the right one, and nothing is signed", async () => {
  const { add } = open();
  assert.equal(await statusOf(add(await bodyFor(0, treeOf(5)))), 200);
  for (const old of [0, 3, 6]) {
    const response = await add(await bodyFor(old, treeOf(9)));
    assert.deepEqual([response.status, await response.text()], [409, "5\n"], `old ${old}`);
  }
  assert.equal(await statusOf(add(await bodyFor(9, treeOf(5)))), 400);
  assert.equal(await statusOf(add(await bodyFor(0, treeOf(4)))), 409);
  assert.equal(await statusOf(add(await bodyFor(5, treeOf(4)))), 400);
});

test("a fork is refused: another tree of the same size, a larger one, a proof for something else", async () => {
  const { add } = open();
  const tree = treeOf(5);
  assert.equal(await statusOf(add(await bodyFor(0, tree))), 200);
  assert.equal(await statusOf(add(await bodyFor(5, treeOf(5, "fork", 4)))), 422);
  assert.equal(await statusOf(add(await bodyFor(5, treeOf(9, "fork", 4)))), 422);
  const grown = treeOf(9);
  const proof = consistencyProof(5, 9, grown.read).map((hash) => `${encodeBase64(hash)}\n`);
  const checkpoint = await signed(grown);
  for (const lines of [
    [],
    proof.slice(1),
    proof.slice(0, -1),
    [...proof].reverse(),
    [...proof, ...proof.slice(-1)],
  ]) {
    assert.equal(await statusOf(add(`old 5\n${lines.join("")}\n${checkpoint}`)), 422);
  }
  assert.equal(await statusOf(add(`old 5\n${proof.slice(-1).join("")}\n${await signed(tree)}`)), 422);
  assert.equal(await statusOf(add(await bodyFor(5, grown))), 200);
});

test("an empty tree has one root", async () => {
  const { add } = open();
  const text = serializeCheckpoint({ origin: log.name, size: 0, root: new Uint8Array(32) });
  const wrong = serializeNote(await signNote(text, [log]));
  assert.equal(await statusOf(add(`old 0\n\n${wrong}`)), 422);
  assert.equal(await statusOf(add(await bodyFor(0, treeOf(0)))), 200);
  assert.equal(await statusOf(add(await bodyFor(0, treeOf(3)))), 200);
});

test("of two forks sent at once, many times, only one is ever cosigned", async () => {
  const { add, path, close } = open();
  assert.equal(await statusOf(add(await bodyFor(0, treeOf(2)))), 200);
  const bodies = await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      bodyFor(2, treeOf(3 + (index >> 1), index % 2 ? "one" : "two", 2)),
    ),
  );
  const statuses = await Promise.all(bodies.map((body) => statusOf(add(body))));
  assert.equal(statuses.filter((status) => status === 200).length, 1);
  const winner = statuses.indexOf(200) % 2 ? "one" : "two";
  const loser = winner === "one" ? "two" : "one";
  const size = 3 + (statuses.indexOf(200) >> 1);
  close();
  // After a restart it still knows.
  const again = open(path);
  assert.equal(await statusOf(again.add(await bodyFor(0, treeOf(2)))), 409);
  assert.equal(await statusOf(again.add(await bodyFor(size, treeOf(size, loser, 2)))), 422);
  assert.equal(await statusOf(again.add(await bodyFor(size, treeOf(size + 4, loser, 2)))), 422);
  assert.equal(await statusOf(again.add(await bodyFor(size, treeOf(size + 4, winner, 2)))), 200);
});

test("logs do not know of each other, and one key does not sign for another's name", async () => {
  const { add } = open();
  assert.equal(await statusOf(add(await bodyFor(0, treeOf(5)))), 200);
  const fork = treeOf(4, "fork");
  assert.equal(await statusOf(add(await bodyFor(0, fork, signed(fork, other)))), 200);
  assert.equal(await statusOf(add(await bodyFor(5, treeOf(6), signed(treeOf(6), other, log.name)))), 403);
  const stranger = await generateSigner("stranger.example", noteKeyType.ed25519);
  assert.equal(await statusOf(add(await bodyFor(0, fork, signed(fork, stranger)))), 404);
  const impostor = await generateSigner(log.name, noteKeyType.ed25519);
  assert.equal(await statusOf(add(await bodyFor(5, treeOf(6), signed(treeOf(6), impostor)))), 403);
});

test("paths and methods that are none are refused", async () => {
  const { handle } = open();
  const ask = (path: string, method: string) =>
    statusOf(handle(new Request(`http://w.invalid${path}`, { method })));
  assert.equal(await ask("/add-checkpoint", "PUT"), 405);
  assert.equal(await ask("/other", "POST"), 404);
  assert.equal(await ask("/", "GET"), 404);
  assert.equal(await ask(`/${"0".repeat(64)}/checkpoint`, "GET"), 404);
  // Known, but never cosigned.
  assert.equal(await ask(`/${encodeHex(sha256(encodeUtf8(log.name)))}/checkpoint`, "GET"), 404);
});

test("a request cut or changed anywhere is refused and changes nothing", async () => {
  const { add } = open();
  assert.equal(await statusOf(add(await bodyFor(0, treeOf(3)))), 200);
  const good = await bodyFor(3, treeOf(8));
  for (let index = 0; index < good.length; index += 1) {
    const bent = `${good.slice(0, index)}${good[index] === "A" ? "B" : "A"}${good.slice(index + 1)}`;
    for (const body of [good.slice(0, index), bent]) {
      const status = await statusOf(add(body));
      assert.ok([400, 403, 404, 409, 422].includes(status), `${status} at ${index}`);
    }
  }
  const long = `old 3\n${`${encodeBase64(new Uint8Array(32))}\n`.repeat(64)}\n${await signed(treeOf(8))}`;
  for (const body of [
    "",
    "\n\n",
    "old 3",
    `old -1${good.slice(5)}`,
    `old 03${good.slice(5)}`,
    long,
    `${good}\n`,
    "x".repeat(70_000),
  ]) {
    assert.equal(await statusOf(add(body)), 400, body.slice(0, 20));
  }
  assert.equal(await statusOf(add(good)), 200);
});
