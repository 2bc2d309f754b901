import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  ByteReader,
  type Bytes,
  ByteWriter,
  encodeBase64Url,
  encodeUtf8,
  sha256,
  systemRandom,
} from "@sotto/base";
import {
  blind,
  challengeDigest,
  importIssuerPublicKey,
  type TokenChallenge,
  verifyToken,
} from "@sotto/credentials";
import { createIssuerKey, generateIssuerKey } from "@sotto/credentials/issuer";
import { serve } from "@sotto/kit";
import { createIssuer, issuerLimits } from "../src/issuer.ts";
import { openQuotaStore } from "../src/quota-store.ts";

const base = mkdtempSync(join(tmpdir(), "sotto-issuer-"));
after(() => rmSync(base, { recursive: true, force: true }));
const dayMs = 86_400_000;
const startMs = 20_000 * dayMs;
const first = generateIssuerKey();
const today = await importIssuerPublicKey(first.spki);
let second = generateIssuerKey();
let tomorrow = await importIssuerPublicKey(second.spki);
// Requests name a key by one byte.
while (tomorrow.keyId.at(-1) === today.keyId.at(-1)) {
  second = generateIssuerKey();
  tomorrow = await importIssuerPublicKey(second.spki);
}
const pairs = [first, second];
const challenge: TokenChallenge = {
  issuerName: "issuer.example",
  redemptionContext: new Uint8Array(),
  originInfo: "gateway.sotto.invalid",
};
const batchType = "application/private-token-request-batch";
let files = 0;

function open(quotaPerDay = 100, path = join(base, `${files++}.sqlite`)) {
  const quota = openQuotaStore(path);
  const time = { now: startMs };
  const issued: number[] = [];
  const handle = createIssuer({
    keys: pairs.map(({ privateKeyPem }, index) => ({
      key: createIssuerKey(privateKeyPem),
      notBefore: (startMs + index * dayMs) / 1000,
      notAfter: (startMs + (index + 1) * dayMs) / 1000,
    })),
    accounts: ["alice", "bob"].map((id) => ({ id, secretDigest: sha256(encodeUtf8(`${id}'s-secret`)) })),
    quota,
    quotaPerDay,
    clock: () => time.now,
    onIssued: (count) => issued.push(count),
  });
  const post = (body: Bytes, headers: Record<string, string> = {}): Promise<Response> =>
    handle(
      new Request("http://issuer.invalid/tokens", {
        method: "POST",
        body,
        headers: { "content-type": batchType, authorization: "Bearer alice's-secret", ...headers },
      }),
    );
  return { handle, post, time, issued, path, close: () => quota.close() };
}

function batchOf(count: number, key = today) {
  const blinded = Array.from({ length: count }, () => blind(challenge, key, systemRandom));
  const body = new ByteWriter().u16(count);
  for (const { request } of blinded) body.vector(2, request);
  return { blinded, body: body.finish() };
}

async function refusal(response: Response): Promise<[number, unknown]> {
  const body: unknown = await response.json();
  return [
    response.status,
    typeof body === "object" && body !== null && "code" in body ? body.code : undefined,
  ];
}

test("a batch comes back signed, and each token is valid for its challenge and no other", async () => {
  const { post, issued, close } = open();
  const { blinded, body } = batchOf(5);
  const response = await post(body);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("cache-control"), "no-store");
  const reader = new ByteReader(new Uint8Array(await response.arrayBuffer()));
  assert.equal(reader.u16(), 5);
  const serials = new Set<string>();
  for (const { finalize } of blinded) {
    const token = await finalize(reader.vector(2, 512));
    await verifyToken(token, today, challengeDigest(challenge));
    await assert.rejects(
      verifyToken(token, today, challengeDigest({ ...challenge, originInfo: "other.example" })),
    );
    await assert.rejects(verifyToken(token, tomorrow, challengeDigest(challenge)));
    serials.add(String(token.nonce));
  }
  reader.end();
  assert.equal(serials.size, 5);
  assert.deepEqual(issued, [5]);
  close();
});

test("who is no account gets nothing, and is told no more than that", async () => {
  const { post, issued, close } = open();
  const { body } = batchOf(1);
  const headers = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer alice",
    "bearer alice's-secret",
    "Basic YTpi",
    `Bearer ${"x".repeat(300)}`,
  ];
  for (const authorization of headers) {
    assert.deepEqual(
      await refusal(await post(body, { authorization })),
      [401, "unknown-account"],
      authorization,
    );
  }
  assert.deepEqual(issued, []);
  close();
});

test("batches that are none are refused whole and charge nothing", async () => {
  const { post, issued, close } = open(1);
  const { body } = batchOf(1);
  const bent: Bytes[] = [
    new Uint8Array(),
    Uint8Array.of(0, 0),
    batchOf(65).body,
    Uint8Array.from([...body, 0]),
    systemRandom(300),
    new Uint8Array(64 * 1024),
  ];
  for (let length = 0; length < body.length; length += 1) bent.push(body.slice(0, length));
  // Every byte of the framing: count, length, token type.
  for (const at of [0, 1, 2, 3, 4, 5])
    bent.push(body.map((byte, index) => (index === at ? byte ^ 0x80 : byte)));
  for (const bytes of bent) assert.deepEqual(await refusal(await post(bytes)), [400, "malformed"]);
  assert.deepEqual(await refusal(await post(body, { "content-type": "text/plain" })), [
    415,
    "unsupported-media-type",
  ]);
  assert.deepEqual(issued, []);
  assert.equal((await post(body)).status, 200, "the one token of today is still there");
  close();
});

test("a number over the modulus is found when it is signed: refused, and charged", async () => {
  const { post, issued, close } = open(2);
  const { body } = batchOf(1);
  const over = body.map((byte, index) => (index > 6 ? 0xff : byte));
  assert.deepEqual(await refusal(await post(over)), [400, "malformed"]);
  assert.equal((await post(body)).status, 200);
  assert.equal((await post(body)).status, 429);
  assert.deepEqual(issued, [1]);
  close();
});

test("a key signs in its time only", async () => {
  const { post, time, close } = open();
  const early = batchOf(1, tomorrow).body;
  assert.deepEqual(await refusal(await post(early)), [422, "unknown-key"]);
  time.now = startMs + dayMs;
  assert.equal((await post(early)).status, 200);
  assert.deepEqual(await refusal(await post(batchOf(1, today).body)), [422, "unknown-key"]);
  close();
});

test("an account never gets more than its quota, whatever it sends at once, until the next day", async () => {
  const { post, time, issued, path, close } = open(30);
  const { body } = batchOf(3);
  const answers = await Promise.all(Array.from({ length: 50 }, () => post(body)));
  const refused = answers.filter(({ status }) => status === 429);
  assert.equal(refused.length, 40);
  assert.equal(refused[0]?.headers.get("retry-after"), String(dayMs / 1000));
  assert.equal(
    issued.reduce((sum, count) => sum + count, 0),
    30,
  );
  assert.equal((await post(body, { authorization: "Bearer bob's-secret" })).status, 200);
  assert.deepEqual(await refusal(await post(batchOf(31).body, { authorization: "Bearer bob's-secret" })), [
    429,
    "quota-used-up",
  ]);
  close();
  const again = open(30, path);
  assert.equal((await again.post(body)).status, 429, "a restart forgets nothing");
  again.time.now = startMs + dayMs;
  assert.equal((await again.post(batchOf(3, tomorrow).body)).status, 200);
  again.close();
  assert.equal(time.now, startMs);
});

test("the directory lists every key with its time, to anybody", async () => {
  const { handle, close } = open();
  const response = await handle(
    new Request("http://issuer.invalid/.well-known/private-token-issuer-directory"),
  );
  assert.equal(response.headers.get("content-type"), "application/private-token-issuer-directory");
  assert.deepEqual(await response.json(), {
    "issuer-request-uri": "/tokens",
    "token-keys": pairs.map(({ spki }, index) => ({
      "token-type": 2,
      "token-key": encodeBase64Url(spki),
      "not-before": (startMs + index * dayMs) / 1000,
    })),
  });
  const ask = (path: string, method: string) =>
    handle(new Request(`http://issuer.invalid${path}`, { method }));
  assert.equal((await ask("/tokens", "GET")).status, 405);
  assert.equal((await ask("/", "GET")).status, 404);
  assert.equal((await ask("/tokens/1", "POST")).status, 404);
  close();
});

test("a page of any origin may ask for tokens, with the secret of an account and nothing that a browser keeps", async () => {
  const { handle, close } = open();
  const server = await serve({ handler: handle, port: 0, ...issuerLimits });
  const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(new URL(path, server.address), {
      ...init,
      headers: { ...init.headers, origin: "https://app.example" },
    });
  const granted = async (answer: Promise<Response>) => {
    const response = await answer;
    await response.arrayBuffer();
    const told = [...response.headers].filter(([name]) => /^access-control-|^vary$/.test(name));
    return [response.status, Object.fromEntries(told)];
  };
  const allow = { "access-control-allow-origin": "*" };
  assert.deepEqual(await granted(ask("/tokens", { method: "OPTIONS" })), [
    204,
    {
      ...allow,
      "access-control-allow-headers": "authorization, content-type",
      "access-control-allow-methods": "POST",
      "access-control-max-age": "86400",
    },
  ]);
  const batch = { method: "POST", body: batchOf(1).body };
  const headers = { "content-type": batchType, authorization: "Bearer alice's-secret" };
  assert.deepEqual(await granted(ask("/tokens", { ...batch, headers })), [200, allow]);
  assert.deepEqual(await granted(ask("/tokens", { ...batch, headers: { cookie: "alice" } })), [401, allow]);
  assert.deepEqual(await granted(ask("/.well-known/private-token-issuer-directory")), [200, allow]);
  assert.deepEqual(await granted(ask("/other", { method: "OPTIONS" })), [404, {}]);
  await server.close();
  close();
});
