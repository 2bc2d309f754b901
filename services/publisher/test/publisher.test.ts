import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { decodeUtf8, encodeHex } from "@sotto/base";
import {
  type Directory,
  generateSigner,
  leafHash,
  noteKeyType,
  parseCheckpoint,
  parseEntryBundle,
  parseNote,
  type Signer,
  serializeNote,
  signDirectory,
  signNote,
} from "@sotto/log";
import { createPublisher } from "../src/publisher.ts";
import { createFakeWitness, createFolder, openLog, statementOf } from "./stage.ts";

const [first, second, third, stranger] = await Promise.all(
  ["one", "two", "three", "stranger"].map((name) => generateSigner(`${name}.example`, noteKeyType.ed25519)),
);
assert.ok(first && second && third && stranger);
const authorities = {
  weights: { keys: [first, second, third], threshold: 2 },
  directory: { keys: [first], threshold: 1 },
};

function open() {
  const folder = createFolder();
  const { sequencer, store } = openLog(folder, createFakeWitness().cosign);
  const handle = createPublisher({ sequencer, store, authorities });
  const ask = (method: string, path: string, body?: string, headers: Record<string, string> = {}) =>
    handle(
      new Request(`http://log.invalid${path}`, { method, headers, ...(body === undefined ? {} : { body }) }),
    );
  return { ask, folder, close: () => store.close() };
}

async function submission(index: number, ...signers: Signer[]): Promise<string> {
  return serializeNote(await signNote(`${decodeUtf8(statementOf(index))}\n`, signers));
}

function directoryOf(issuedAt: number): Directory {
  const proved = { statement: "AA==", proof: "proof" };
  return {
    kind: "directory",
    issuedAt,
    expiresAt: issuedAt + 600,
    ohttp: { ...proved, configs: "AA==" },
    issuer: { ...proved, name: "issuer", keys: [] },
    nodes: [],
    releases: [],
    models: [],
  };
}

test("a statement goes in with enough distinct authorities, and comes out in tiles, bundles and a proof", async () => {
  const { ask, close } = open();
  for (let index = 0; index < 3; index += 1) {
    const response = await ask("POST", "/add", await submission(index, first, second));
    assert.deepEqual([response.status, await response.json()], [200, { index }]);
  }
  assert.deepEqual(await (await ask("POST", "/add", await submission(1, second, third))).json(), {
    index: 1,
  });
  const checkpoint = await ask("GET", "/checkpoint");
  assert.equal(checkpoint.headers.get("cache-control"), "no-cache");
  assert.equal(parseCheckpoint(parseNote(await checkpoint.text()).text).size, 3);
  const bundle = await ask("GET", "/tile/entries/000.p/3");
  assert.match(bundle.headers.get("cache-control") ?? "", /immutable/);
  const entries = parseEntryBundle(new Uint8Array(await bundle.arrayBuffer()));
  assert.deepEqual(entries, [0, 1, 2].map(statementOf));
  const tile = new Uint8Array(await (await ask("GET", "/tile/0/000.p/3")).arrayBuffer());
  assert.deepEqual(tile.subarray(64), leafHash(statementOf(2)));
  assert.equal((await ask("GET", `/proof/${encodeHex(leafHash(statementOf(2)))}`)).status, 200);
  assert.equal((await ask("GET", `/proof/${"0".repeat(64)}`)).status, 404);
  close();
});

test("too few authorities, one of them twice, strangers and kinds that nobody may add are refused", async () => {
  const { ask, close } = open();
  const one = await submission(0, first);
  const twice = `${one}${one.trimEnd().split("\n").at(-1)}\n`;
  const keys = `{"expiresAt":2,"issuedAt":1,"keys":[],"kind":"keys","notAfter":2,"notBefore":1,"purpose":"ohttp"}\n`;
  const texts = [
    one,
    twice,
    await submission(0, first, stranger),
    serializeNote(await signNote(keys, [first, second])),
    (await submission(0, first, second)).replace("model-0", "model-1"),
  ];
  for (const text of texts) {
    const { status } = await ask("POST", "/add", text);
    assert.ok([400, 403].includes(status), `${status} for ${text}`);
  }
  assert.equal((await ask("POST", "/add", one)).status, 403);
  assert.equal((await ask("GET", "/checkpoint")).status, 404);
  close();
});

test("a submission cut or changed anywhere adds nothing", async () => {
  const { ask, close } = open();
  const good = await submission(0, first, second);
  for (let index = 0; index < good.length; index += 1) {
    const bent = `${good.slice(0, index)}${good[index] === "A" ? "B" : "A"}${good.slice(index + 1)}`;
    for (const text of [good.slice(0, index), bent]) {
      const { status } = await ask("POST", "/add", text);
      assert.ok([400, 403].includes(status), `${status} at ${index}`);
    }
  }
  for (const text of ["", "\n", "{}\n\n\u2014 a AAAA\n", "x".repeat(300_000)]) {
    assert.equal((await ask("POST", "/add", text)).status, 400);
  }
  assert.equal((await ask("GET", "/checkpoint")).status, 404);
  close();
});

test("the directory is its authority's, whole, and never an older one", async () => {
  const { ask, close } = open();
  assert.equal((await ask("GET", "/directory")).status, 404);
  const now = Math.floor(Date.now() / 1000);
  const [older, newer] = [
    await signDirectory(directoryOf(now - 10), first),
    await signDirectory(directoryOf(now), first),
  ];
  assert.equal((await ask("PUT", "/directory", newer)).status, 204);
  const got = await ask("GET", "/directory");
  const etag = got.headers.get("etag") ?? "";
  assert.equal(await got.text(), newer);
  assert.equal((await ask("GET", "/directory", undefined, { "if-none-match": etag })).status, 304);
  const refused: readonly [number, string][] = [
    [409, older],
    [403, await signDirectory(directoryOf(now + 1), second)],
    [400, serializeNote(await signNote("{}\n", [first]))],
    [400, newer.slice(0, -3)],
    [400, ""],
  ];
  for (const [status, text] of refused) assert.equal((await ask("PUT", "/directory", text)).status, status);
  assert.equal(await (await ask("GET", "/directory")).text(), newer);
  close();
});

test("no path leads out of the log", async () => {
  const { ask, folder, close } = open();
  writeFileSync(join(folder, "secret"), "secret");
  const paths = [
    "/secret",
    "/lock",
    "/state",
    "/tile/../secret",
    "/tile/%2e%2e/secret",
    "/tile/0/..%2f..%2fsecret",
    "/tile//secret",
    "/tile/0/000.p/0",
    "/tile/0/000.p/256",
    "/tile/0/0",
    "/tile/00/000",
    "/tile/64/000",
    "/tile/0/x000",
    "/tile/0/x000/000",
    "/tile/entries/000.p/3.new",
    "/tile/0/000",
    "/proof/..",
    "/",
    "//",
    "/checkpoint/",
    "/directory.new",
  ];
  for (const path of paths) {
    const response = await ask("GET", path);
    assert.ok(response.status === 404 || response.status === 400, `${response.status} for ${path}`);
    assert.doesNotMatch(await response.text(), /secret/);
  }
  for (const [method, path] of [
    ["DELETE", "/directory"],
    ["PATCH", "/add"],
  ] as const) {
    assert.equal((await ask(method, path)).status, 405);
  }
  assert.equal((await ask("POST", "/directory", "x")).status, 404);
  assert.equal((await ask("PUT", "/add", "x")).status, 404);
  close();
});
