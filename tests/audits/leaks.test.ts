// Text, tokens, secrets and what others say in their errors: none of it in an error, a log or a message of the clients,
// nor in a log of the services.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemRandom } from "@sotto/base";
import { serializeVerifier } from "@sotto/log";
import {
  createPrivateFetch,
  MemoryTokenStore,
  type PrivateFetch,
  parseClientSettings,
  privateBaseUrl,
  type StoredToken,
  type TokenStore,
} from "@sotto/sdk";
import { developmentPolicy } from "@sotto/sdk/development";
import { mediaTypes } from "@sotto/wire";
import { authority, createWorld, policy } from "../../clients/sdk/test/deployment.ts";
import { type Form, formsOf, makeCanary } from "../canary/encodings.ts";
import { openModelServer } from "../canary/model-server.ts";
import { readFolder } from "../canary/open-files.ts";
import { PatternSet } from "../canary/pattern-set.ts";
import { openStage, type Stage } from "../canary/stage.ts";
import { root } from "../e2e/stack.ts";

const make = (): string => makeCanary(systemRandom);
const canaries = { question: make(), answer: make(), "error body": make(), secret: make() } as const;
const tokens: Buffer[] = [];
const said: string[] = [];

/** Remembers all tokens that it is given. */
class WatchedTokenStore implements TokenStore {
  readonly #inner = new MemoryTokenStore();
  take = (keyIds: ReadonlySet<string>): Promise<StoredToken | undefined> => this.#inner.take(keyIds);
  count = (): Promise<number> => this.#inner.count();
  put = (given: readonly StoredToken[]): Promise<void> => {
    for (const { token } of given) tokens.push(Buffer.from(token));
    return this.#inner.put(given);
  };
}

/** Nonce and signature of a token (RFC 9577 Section 2.2), as they are and as they are written. */
function formsOfToken(token: Buffer): Form[] {
  return [token.subarray(2, 34), token.subarray(98, 130)].flatMap((bytes) => [
    { encoding: "raw", bytes },
    { encoding: "hex", bytes: Buffer.from(bytes.toString("hex")) },
    ...[0, 1, 2].flatMap((shift) =>
      (["base64", "base64url"] as const).map((alphabet) => {
        const digits = Buffer.concat([Buffer.alloc(shift), bytes])
          .toString(alphabet)
          .slice(4, -4);
        return { encoding: alphabet, bytes: Buffer.from(digits) };
      }),
    ),
  ]);
}

function patterns(): PatternSet<string> {
  const texts = Object.entries(canaries).flatMap(([name, word]) =>
    formsOf(word).map(({ encoding, bytes }) => ({ name: `${name} in ${encoding}`, bytes })),
  );
  const others = tokens.flatMap((token) =>
    formsOfToken(token).map(({ encoding, bytes }) => ({ name: `token in ${encoding}`, bytes })),
  );
  return new PatternSet([...texts, ...others]);
}

/** Which canaries stand anywhere in these texts and bytes. */
function found(pieces: readonly (string | Uint8Array)[]): string[] {
  const all = patterns();
  const hits = pieces.flatMap((piece) =>
    all.search(typeof piece === "string" ? Buffer.from(piece) : Buffer.from(piece)),
  );
  return [...new Set(hits.map(({ name }) => name))];
}

/** Every text and every byte that can be reached from an error, whoever prints it and however. */
function contentsOf(error: unknown): (string | Uint8Array)[] {
  const pieces: (string | Uint8Array)[] = [];
  const seen = new Set<unknown>();
  const visit = (value: unknown): void => {
    if (typeof value === "string" || value instanceof Uint8Array) pieces.push(value);
    if (typeof value !== "object" || value === null || value instanceof Uint8Array || seen.has(value)) return;
    seen.add(value);
    for (const key of Reflect.ownKeys(value)) visit(Reflect.get(value, key));
  };
  visit(error);
  return pieces;
}

test("5: the search finds a canary in an error, its causes and whatever hangs on them", () => {
  const cause = Object.assign(new Error("deep"), { data: Buffer.from(btoa(`?${canaries.answer}`)) });
  const error = new Error(canaries.question, { cause: new AggregateError([cause]) });
  assert.deepEqual(found(contentsOf(error)), ["question in utf-8", "answer in base64"]);
  tokens.push(Buffer.from(systemRandom(200)));
  const [token = Buffer.alloc(0)] = tokens;
  // Where none of the two alphabets' own characters comes up, it is found in both.
  assert.ok(found([token.toString("base64")]).includes("token in base64"));
  assert.deepEqual(found([btoa("something else entirely")]), []);
  tokens.pop();
});

const restore: (() => void)[] = [];
for (const stream of [process.stdout, process.stderr]) {
  const write = stream.write.bind(stream);
  stream.write = (chunk: string | Uint8Array, ...rest: never[]): boolean => {
    if (typeof chunk === "string") said.push(chunk);
    return write(chunk, ...rest);
  };
  restore.push(() => {
    stream.write = write;
  });
}
process.on("warning", (warning) =>
  said.push(...contentsOf(warning).filter((piece) => typeof piece === "string")),
);
after(() => {
  for (const undo of restore) undo();
});

const question = JSON.stringify({ messages: [{ role: "user", content: canaries.question }] });

type ClientOptions = Parameters<typeof createPrivateFetch>[0];

function openClient(given: Partial<ClientOptions>): PrivateFetch {
  return createPrivateFetch({
    relayUrl: "https://relay.example",
    issuerUrl: "https://issuer.example",
    account: { secret: canaries.secret },
    directoryKey: serializeVerifier(authority),
    policy,
    tokens: new WatchedTokenStore(),
    prepareAhead: false,
    timeoutMs: 3000,
    ...given,
  });
}

/** What an app gets to see when it asks: the error with all its parts, or the response. */
async function ask(client: PrivateFetch, body = question): Promise<(string | Uint8Array)[]> {
  try {
    const response = await client(`${privateBaseUrl}/chat/completions`, { method: "POST", body });
    return [await response.text(), JSON.stringify([...response.headers])];
  } catch (error) {
    const pieces = contentsOf(error);
    assert.ok(pieces.length > 0, "an error that says what it is");
    return pieces;
  } finally {
    client.close();
  }
}

const quoted = canaries["error body"];
const types = [mediaTypes.response, mediaTypes.chunkedResponse, "application/json", quoted];
/** Everything that relay, gateway and issuer could say instead of an answer. */
const hostile: Readonly<Record<string, () => Response | Promise<Response>>> = {
  ...Object.fromEntries(
    [400, 401, 403, 429, 500, 503].map((status) => [
      `status ${status}`,
      () =>
        Response.json({ code: quoted, message: quoted }, { status, headers: { [`x-${quoted}`]: quoted } }),
    ]),
  ),
  ...Object.fromEntries(
    types.map((type) => [
      `nonsense as ${type === quoted ? "a canary" : type}`,
      () => new Response(quoted, { headers: { "content-type": type } }),
    ]),
  ),
  "an answer that breaks off": () =>
    new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode(quoted)),
        pull: (controller) => controller.error(new Error(quoted)),
      }),
      { headers: { "content-type": mediaTypes.response } },
    ),
  "no answer": () => Promise.reject(new TypeError(quoted, { cause: new Error(quoted) })),
};

for (const path of ["/directory", "/tokens", "/relay"]) {
  test(`5: whatever comes from ${path}, the client's error quotes neither it nor question, token or secret`, async () => {
    const { world, fetch } = await createWorld();
    for (const [name, answer] of Object.entries(hostile)) {
      const visit: typeof fetch = async (input, init) =>
        new URL(new Request(input).url).pathname === path ? answer() : fetch(input, init);
      const leaked = found(await ask(openClient({ fetch: visit })));
      assert.deepEqual(leaked, [], `${path}: ${name}`);
    }
    assert.ok(world.asked.length > 0 || path === "/directory");
    assert.ok(tokens.length > 0 || path !== "/relay");
  });
}

/** A server that speaks anything but HTTP as it should be. */
async function openRawServer(answer: string): Promise<{ readonly url: string; readonly server: Server }> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    server,
    url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
  };
}

const rawAnswers = [
  `HTTP/1.1 200 OK\r\n${quoted}\u0001: x\r\n\r\n${quoted}`,
  `HTTP/1.1 302 Found\r\nlocation: http://${quoted}.invalid/\r\ncontent-length: 0\r\n\r\n`,
  `HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n${quoted}`,
  `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${quoted}\r\n`,
  `HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${quoted.length}\r\n\r\n${quoted}`,
  quoted,
];

test("5: nor does it quote what is no HTTP at all, or a secret that fits no header", async () => {
  for (const answer of rawAnswers) {
    const { url, server } = await openRawServer(answer);
    const leaked = found(await ask(openClient({ relayUrl: url, issuerUrl: url })));
    server.close();
    assert.deepEqual(leaked, [], answer.replaceAll(quoted, "#"));
  }
  const { fetch } = await createWorld();
  const account = { secret: `${canaries.secret}\n\u2603` };
  assert.deepEqual(found(await ask(openClient({ fetch, account }))), []);
});

const word = canaries.question;
const badQuestions = [
  `{"messages":[{"role":"user","content":"${word}"}`,
  word,
  JSON.stringify({ [word]: word }),
  JSON.stringify({ messages: word }),
  JSON.stringify({ messages: [{ role: word, content: word }] }),
  JSON.stringify({ messages: [{ role: "user", content: [{ type: word, text: word }] }] }),
  JSON.stringify({ messages: [{ role: "user", content: { [word]: word } }] }),
  JSON.stringify({ messages: [{ role: "user", content: word }], tools: [word] }),
  JSON.stringify({ messages: [{ role: "user", content: word }], model: { [word]: 1 } }),
  JSON.stringify({ messages: [{ role: "user", content: word.repeat(20_000) }] }),
];

test("5: a question that is none is refused without being quoted, and so are settings that are none", async () => {
  const { world, fetch } = await createWorld();
  for (const [index, body] of badQuestions.entries()) {
    assert.deepEqual(found(await ask(openClient({ fetch }), body)), [], `question ${index}`);
  }
  assert.deepEqual(world.asked, [], "nothing was sent");
  for (const text of [
    canaries.secret,
    `{"account":{"secret":${canaries.secret}}}`,
    `{"${canaries.secret}":1}`,
  ]) {
    assert.throws(
      () => parseClientSettings(text),
      (error) => found(contentsOf(error)).length === 0,
    );
  }
});

let stage: Stage;
let closeStage = async (): Promise<void> => {};
const endings = { refuse: "refuse", break: "break" } as const;
const model = await openModelServer((text) => ({
  pieces: [`The cat is called ${canaries.answer}. `, "It sleeps."],
  ending: text.includes("refuse") ? endings.refuse : text.includes("break") ? endings.break : "stop",
}));

before(async () => {
  stage = await openStage(model.url);
  closeStage = stage.close;
});
after(async () => {
  await closeStage();
  model.close();
});

const failing = Object.keys(endings).flatMap((how) =>
  [true, false].map((stream) => ({
    name: `${how}, ${stream ? "streamed" : "whole"}`,
    body: JSON.stringify({
      stream,
      messages: [{ role: "user", content: `My cat is ${word}, please ${how}` }],
    }),
  })),
);

test("5: through a whole stack, failures of the model are told in a code, to an app and by the local endpoint", async () => {
  const { relay: relayUrl, issuer: issuerUrl, account, directoryKey } = stage.settings;
  const tokensOfClient = new WatchedTokenStore();
  const own = { relayUrl, issuerUrl, account, directoryKey, policy: developmentPolicy(stage.settings) };
  const endpoint = stage.parts.find(({ name }) => name === "proxy")?.address ?? "";
  for (const { name, body } of failing) {
    const seen = await ask(openClient({ ...own, tokens: tokensOfClient, timeoutMs: 20_000 }), body);
    assert.match(seen.join("\n"), /failed/, name);
    // Of a streamed answer a first part may have come; it is the error that must not quote anything.
    const errors = seen.map((piece) => String(piece).replace(/^data: \{"id".*$/gm, ""));
    assert.deepEqual(found(errors), [], name);
  }
  for (const body of [...badQuestions, ...failing.map((one) => one.body)]) {
    const response = await fetch(`${endpoint}/v1/chat/completions`, {
      ...{ method: "POST", headers: { "content-type": "application/json" }, body },
    });
    assert.ok(response.status >= 400 || body.includes('"stream":true'), body.replaceAll(word, "#"));
    const text = (await response.text()).replace(/^data: \{"id".*$/gm, "");
    assert.deepEqual(found([text, JSON.stringify([...response.headers])]), [], body.replaceAll(word, "#"));
  }
});

/** Runs `sotto chat`, its question on standard input, and returns what it printed where. */
function chat(folder: string, text: string, args: readonly string[] = []) {
  const entry = join(root, "clients/cli/src/main.ts");
  const child = spawn(process.execPath, [entry, "chat", "-", "--stack", folder, ...args], {
    ...{ stdio: "pipe", env: { ...process.env, NODE_NO_WARNINGS: "1" } },
  });
  const printed = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (piece: string) => {
      printed[name] += piece;
    });
  }
  child.stdin.end(text);
  return new Promise<typeof printed & { code: number | null }>((resolve) =>
    child.once("close", (code) => resolve({ ...printed, code })),
  );
}

test("5: the command line says what failed on standard error, and quotes nothing there", async () => {
  const elsewhere = mkdtempSync(join(tmpdir(), "sotto-leaks-"));
  const { url, server } = await openRawServer(rawAnswers[0] ?? "");
  try {
    const settings = JSON.parse(readFileSync(join(stage.folder, "client.json"), "utf8"));
    const bent = { ...settings, relay: url, issuer: url, account: { secret: canaries.secret } };
    writeFileSync(join(elsewhere, "client.json"), JSON.stringify(bent));
    const broken = join(elsewhere, "broken");
    mkdirSync(broken);
    writeFileSync(join(broken, "client.json"), `{"account":{"secret":${canaries.secret}}}`);
    const runs = await Promise.all([
      chat(stage.folder, `My cat is ${word}, please refuse`),
      chat(stage.folder, `My cat is ${word}, please break`, ["--json"]),
      chat(stage.folder, word.repeat(20_000)),
      chat(elsewhere, word),
      chat(broken, word),
    ]);
    for (const [index, { code, stderr }] of runs.entries()) {
      assert.notEqual(code, 0, `run ${index}`);
      assert.match(stderr, /^sotto: /, `run ${index}`);
      assert.deepEqual(found([stderr]), [], `run ${index}`);
    }
  } finally {
    server.close();
    rmSync(elsewhere, { recursive: true, force: true });
  }
});

test("5: no log of a service holds a word, a token or a session's handle, and the client has printed none", async () => {
  await stage.stop(); // what is counted is told at the end
  const handles = new Set<string>();
  for (const tap of stage.taps.values()) {
    const text = tap.captured().toString("latin1");
    for (const [, handle = ""] of text.matchAll(/sotto-session: ([0-9a-f]{32})/gi)) handles.add(handle);
  }
  assert.ok(handles.size > 5 && tokens.length > 16);
  const logs: string[] = [];
  const leaked = new Set<string>();
  const all = patterns();
  readFolder(join(stage.folder, "logs"), all.maxLength, (bytes, path) => {
    const text = bytes.toString("latin1");
    logs.push(path);
    for (const { name } of all.search(bytes)) leaked.add(`${name}: ${path}`);
    for (const handle of handles) if (text.includes(handle)) leaked.add(`handle: ${path}`);
  });
  assert.ok(logs.length >= 9, "every part has a log");
  assert.deepEqual([...leaked], []);
  assert.deepEqual(found(said), []);
});
