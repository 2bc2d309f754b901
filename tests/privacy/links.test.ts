// What each party receives in a run, captured at every link: canaries are planted, and looked for where they must not be.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  createPrivateFetch,
  MemoryTokenStore,
  parseClientSettings,
  type StoredToken,
  type TokenStore,
} from "@sotto/sdk";
import { developmentPolicy } from "@sotto/sdk/development";
import { type Part, stopParts } from "../../tools/up/src/part.ts";
import { startStack } from "../../tools/up/src/stack.ts";
import { StateFolder } from "../../tools/up/src/state-folder.ts";
import { openTap, type Tap } from "./tap.ts";

const canary = "CANARY-quokka-7f3a9";
const taps = new Map<string, Tap>();
const parts: Part[] = [];
const spent: Buffer[] = [];
let state: StateFolder;
let folder: string;
let answer = "";
let accountSecret = "";

/** A store that remembers what it handed out. */
class WatchedTokenStore implements TokenStore {
  readonly #inner = new MemoryTokenStore();
  put = (tokens: readonly StoredToken[]): Promise<void> => this.#inner.put(tokens);
  count = (): Promise<number> => this.#inner.count();
  async take(keyIds: ReadonlySet<string>): Promise<StoredToken | undefined> {
    const token = await this.#inner.take(keyIds);
    if (token !== undefined) spent.push(Buffer.from(token.token));
    return token;
  }
}

const quiet = { step: () => {}, done: () => {}, ready: () => {}, note: () => {}, failed: () => {} };

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "sotto-test-"));
  state = StateFolder.open(folder);
  const options = { port: 0, state: folder, model: undefined, release: false, json: true };
  const stack = await startStack(
    options,
    state,
    quiet,
    (part) => parts.push(part),
    async (name, address) => {
      const tap = await openTap(address);
      taps.set(name, tap);
      const url = new URL(address);
      return `${url.protocol}//${tap.address}`;
    },
  );
  stack.close();
  const settings = parseClientSettings(readFileSync(join(folder, "client.json"), "utf8"));
  accountSecret = settings.account.secret;
  const privateFetch = createPrivateFetch({
    relayUrl: settings.relay,
    issuerUrl: settings.issuer,
    account: settings.account,
    directoryKey: settings.directoryKey,
    policy: developmentPolicy(settings),
    tokens: new WatchedTokenStore(),
  });
  for (const stream of [true, false]) {
    const response = await privateFetch(`${privateFetch.baseUrl}/chat/completions`, {
      method: "POST",
      body: JSON.stringify({
        model: "m",
        stream,
        seed: 7,
        messages: [{ role: "user", content: `${canary} ${canary}` }],
      }),
    });
    assert.equal(response.status, 200);
    answer = await response.text();
  }
  privateFetch.close();
});

after(async () => {
  await stopParts(parts.toReversed());
  for (const tap of taps.values()) tap.close();
  state.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The ways in which a text could lie in captured bytes. */
function forms(bytes: Buffer): Buffer[] {
  const text = bytes.toString("latin1");
  return [
    bytes,
    Buffer.from(text, "utf16le"),
    Buffer.from(text.toUpperCase(), "latin1"),
    Buffer.from(bytes.toString("hex")),
    ...[0, 1, 2].map((shift) => {
      // Base64 depends on where in a group of three the text begins; the ends of it are left out.
      const encoded = Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64");
      return Buffer.from(encoded.slice(4, -4));
    }),
  ];
}

function holds(captured: Buffer, secret: Buffer): boolean {
  return forms(secret).some((form) => captured.includes(form));
}

function captured(name: string): Buffer {
  const tap = taps.get(name);
  assert.ok(tap !== undefined, name);
  const bytes = tap.captured();
  assert.ok(bytes.length > 1000, `${name} carried something`);
  return bytes;
}

const links = [
  "client-relay",
  "client-issuer",
  "relay-gateway",
  "gateway-orchestrator",
  "orchestrator-predictor",
];

test("the search finds what is there", () => {
  for (const form of forms(Buffer.from(canary)))
    assert.ok(holds(Buffer.concat([Buffer.from("xx"), form]), Buffer.from(canary)));
  assert.ok(holds(captured("client-issuer"), Buffer.from(accountSecret)), "the issuer sees the account");
});

test("no text on any link", () => {
  const completion: { choices: { message: { content: string } }[] } = JSON.parse(answer);
  const said = completion.choices[0]?.message.content ?? "";
  assert.ok(said.length > 8);
  for (const name of links) {
    assert.ok(!holds(captured(name), Buffer.from(canary)), `question on ${name}`);
    assert.ok(!holds(captured(name), Buffer.from(said.trim().slice(0, 24))), `answer on ${name}`);
  }
});

test("no token at the relay, the issuer, the orchestrator or the predictor", () => {
  assert.ok(spent.length >= 2);
  for (const token of spent) {
    const nonce = token.subarray(2, 34);
    const signature = token.subarray(98, 130);
    for (const name of links) {
      assert.ok(!holds(captured(name), nonce), `nonce of a token on ${name}`);
      assert.ok(!holds(captured(name), signature), `signature of a token on ${name}`);
    }
  }
});

test("no account anywhere but at the issuer", () => {
  for (const name of links.filter((link) => link !== "client-issuer")) {
    assert.ok(!holds(captured(name), Buffer.from(accountSecret)), name);
  }
});

test("nothing of the client's request goes past the relay: no address, no header", () => {
  const text = captured("relay-gateway").toString("latin1").toLowerCase();
  for (const header of [
    "x-forwarded-for",
    "forwarded:",
    "x-real-ip",
    "via:",
    "cookie",
    "referer",
    "origin:",
  ]) {
    assert.ok(!text.includes(header), header);
  }
  const clientPort = /127\.0\.0\.1:(\d+)/g;
  const named = new Set([...text.matchAll(clientPort)].map((match) => match[1]));
  const gateway = taps.get("relay-gateway")?.address.split(":")[1];
  named.delete(gateway);
  assert.deepEqual([...named], [], "no address but the gateway's own");
  const agents = [...text.matchAll(/user-agent: ([^\r\n]*)/g)].map((match) => match[1]);
  assert.ok(new Set(agents).size <= 1, "the relay's own agent at most");
});

test("no canary in any log or file of the stack", () => {
  const walk = (path: string): string[] =>
    statSync(path).isDirectory() ? readdirSync(path).flatMap((name) => walk(join(path, name))) : [path];
  const files = walk(folder);
  assert.ok(files.some((path) => path.endsWith("orchestrator.log")));
  for (const path of files) assert.ok(!holds(readFileSync(path), Buffer.from(canary)), path);
});
