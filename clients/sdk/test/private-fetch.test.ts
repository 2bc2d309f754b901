import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeBase64, systemRandom } from "@sotto/base";
import { serializeVerifier } from "@sotto/log";
import {
  createPrivateFetch,
  MemoryTokenStore,
  type PrivateFetch,
  privateBaseUrl,
  SottoError,
} from "@sotto/sdk";
import { authority, createWorld, gatewayPairs, log, makeDirectory, policy } from "./deployment.ts";

const [firstPair, secondPair] = gatewayPairs;
assert.ok(firstPair && secondPair);
const question = {
  method: "POST",
  body: JSON.stringify({ model: "model", messages: [{ role: "user", content: "a secret" }] }),
};

async function open(trusted = policy, { timeoutMs = 2000, hangs = "" } = {}) {
  const { world, fetch: visit } = await createWorld();
  const fetch: typeof visit = async (input, init) => {
    if (new URL(String(input)).pathname !== hangs) return visit(input, init);
    world.asked.push(hangs);
    return new Promise((_resolve, reject) => {
      init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
    });
  };
  const tokens = new MemoryTokenStore();
  const client = createPrivateFetch({
    relayUrl: "https://relay.example",
    issuerUrl: "https://issuer.example",
    account: { secret: "account" },
    directoryKey: serializeVerifier(authority),
    policy: trusted,
    tokens,
    fetch,
    prepareAhead: false,
    timeoutMs,
  });
  return { world, client, tokens };
}

async function refuses(client: PrivateFetch, code: string, text?: RegExp, advice?: string): Promise<void> {
  await assert.rejects(client(`${privateBaseUrl}/chat/completions`, question), (error: unknown) => {
    assert.ok(error instanceof SottoError, String(error));
    assert.equal(error.code, code, error.message);
    if (text !== undefined) assert.match(error.message, text);
    if (advice !== undefined) assert.equal(error.advice, advice, code);
    assert.doesNotMatch(error.message, /a secret/);
    return true;
  });
}

test("after a stale key the directory is fetched again and the same token used, once", async () => {
  const { world, client, tokens } = await open();
  await client.directory();
  world.keys = [secondPair];
  world.directory = await makeDirectory(secondPair);
  await refuses(client, "session-lost");
  assert.deepEqual(world.asked, ["/directory", "/tokens", "/relay", "/directory", "/relay"]);
  assert.equal(world.inner.length, 1);
  assert.equal(await tokens.count(), 15);
  assert.match(world.inner[0]?.headers[0]?.[1] ?? "", /^PrivateToken token=/);
});

test("more questions at once than a batch has tokens for get a token each", async () => {
  const { world, client, tokens } = await open();
  await Promise.all(Array.from({ length: 20 }, () => refuses(client, "session-lost")));
  assert.equal(world.inner.length, 20);
  assert.equal(world.asked.filter((path) => path === "/tokens").length, 2);
  assert.equal(await tokens.count(), 12);
});

test("a key that stays stale is not asked for without end", async () => {
  const { world, client } = await open();
  world.keys = [secondPair];
  await refuses(client, "stale-key");
  assert.equal(world.asked.filter((path) => path === "/relay").length, 2);
  assert.equal(world.inner.length, 0);
});

test("a directory that is not signed, not logged, not fresh or not whole is refused, and nothing is sent", async () => {
  const good = await makeDirectory(firstPair);
  const other = await makeDirectory(secondPair);
  const part = (text: string, name: string): string =>
    new RegExp(`"${name}":"([^"]*)"`).exec(text)?.[1] ?? "";
  const bent = await Promise.all([
    // A key of one's own in the place of the logged one; a proof of another kind of statement; times.
    makeDirectory(firstPair, (it) => ({ ...it, ohttp: { ...it.ohttp, configs: part(other, "configs") } })),
    makeDirectory(firstPair, (it) => ({
      ...it,
      ohttp: { ...it.ohttp, statement: it.issuer.statement, proof: it.issuer.proof },
    })),
    makeDirectory(firstPair, (it) => ({
      ...it,
      issuer: { ...it.issuer, statement: it.ohttp.statement, proof: it.ohttp.proof },
    })),
    makeDirectory(firstPair, (it) => ({ ...it, issuedAt: it.issuedAt - 1000, expiresAt: it.issuedAt - 1 })),
    makeDirectory(firstPair, (it) => ({
      ...it,
      issuedAt: it.issuedAt + 1000,
      expiresAt: it.issuedAt + 2000,
    })),
    makeDirectory(firstPair, (it) => it, log),
  ]);
  const texts = [
    "",
    "not a note",
    good.slice(0, -2),
    `${good}x`,
    good.replace('"model"', '"modem"'),
    good + "x".repeat(300_000),
    ...bent,
  ];
  for (const text of texts) {
    const { world, client } = await open();
    world.directory = text;
    await refuses(client, "directory-refused", /^directory/);
    assert.deepEqual(world.asked, ["/directory"], text.slice(0, 40));
  }
});

test("what other parties answer wrongly has a code, and says what to do about it", async () => {
  const cases: readonly [string, Response, string, string][] = [
    ["/directory", new Response("no", { status: 500 }), "relay-refused", "retry"],
    ["/tokens", new Response("no", { status: 401 }), "account-refused", "pay"],
    ["/tokens", new Response("no", { status: 429 }), "no-tokens", "pay"],
    ["/tokens", new Response("no", { status: 500 }), "issuer-unreachable", "retry"],
    ["/tokens", new Response(new Uint8Array(3)), "protocol-violation", "stop"],
    ["/tokens", new Response(new Uint8Array(70_000)), "protocol-violation", "stop"],
    ["/tokens", new Response(Uint8Array.from([0, 16, 0, 1, 7])), "protocol-violation", "stop"],
    ["/relay", new Response("no", { status: 503 }), "busy", "retry"],
    ["/relay", new Response("no", { status: 413 }), "relay-refused", "retry"],
    [
      "/relay",
      new Response("<html>", { headers: { "content-type": "text/html" } }),
      "relay-refused",
      "retry",
    ],
    [
      "/relay",
      new Response(systemRandom(500), { headers: { "content-type": "message/ohttp-res" } }),
      "protocol-violation",
      "stop",
    ],
    [
      "/relay",
      new Response(new Uint8Array(5_000_000), { headers: { "content-type": "message/ohttp-res" } }),
      "protocol-violation",
      "stop",
    ],
  ];
  for (const [path, response, code, advice] of cases) {
    const { world, client } = await open();
    world.answer = (asked) => (asked === path ? response : undefined);
    await refuses(client, code, undefined, advice);
  }
});

test("many questions at once never share a token, and share the fetch of their batch", async () => {
  const { world, client } = await open();
  const asked = Array.from({ length: 12 }, () => refuses(client, "session-lost"));
  await Promise.all(asked);
  const tokens = world.inner.map(({ headers }) => headers.find(([name]) => name === "authorization")?.[1]);
  assert.equal(tokens.length, 12);
  assert.equal(new Set(tokens).size, 12);
  assert.equal(world.asked.filter((path) => path === "/tokens").length, 1);
  assert.equal(world.asked.filter((path) => path === "/directory").length, 1);
});

test("who does not answer at all is given up in time, and the next question asks anew", async () => {
  for (const [path, code] of [
    ["/directory", "relay-unreachable"],
    ["/tokens", "issuer-unreachable"],
  ] as const) {
    const { world, client } = await open(policy, { timeoutMs: 300, hangs: path });
    await refuses(client, code, undefined, "retry");
    await refuses(client, code, undefined, "retry");
    assert.equal(world.asked.filter((asked) => asked === path).length, 2);
  }
});

test("who leaves, or closes, while a session comes up does not wait for it", async () => {
  const { client } = await open(policy, { timeoutMs: 20_000, hangs: "/tokens" });
  const leaving = new AbortController();
  const left = client(`${privateBaseUrl}/chat/completions`, { ...question, signal: leaving.signal });
  const stays = client(`${privateBaseUrl}/chat/completions`, question);
  const reason = new Error("changed my mind");
  leaving.abort(reason);
  await assert.rejects(left, reason);
  client.close();
  await assert.rejects(stays, { code: "closed" });
  await assert.rejects(client.prepare(), { code: "closed" });
  await assert.rejects(client.verify(), { code: "closed" });
});

test("what is not a private question stays on the device", async () => {
  const { world, client } = await open();
  for (const url of ["https://example.com/v1/chat/completions", "http://sotto.invalid/v1/chat/completions"]) {
    await assert.rejects(client(url, question), { code: "not-private" });
  }
  const picture = [
    { role: "user", content: [{ type: "image_url", image_url: { url: encodeBase64(systemRandom(9)) } }] },
  ];
  const bodies = [
    "",
    "{",
    "[]",
    JSON.stringify({ model: "model" }),
    JSON.stringify({ model: "model", messages: picture }),
  ];
  for (const body of bodies) {
    const response = await client(`${privateBaseUrl}/chat/completions`, { method: "POST", body });
    assert.equal(response.status, 400, body);
  }
  assert.equal((await client(`${privateBaseUrl}/embeddings`, question)).status, 404);
  assert.deepEqual(world.asked, []);
  const models = await client(`${privateBaseUrl}/models`);
  assert.match(await models.text(), /"id":"model"/);
  client.close();
  await assert.rejects(client(`${privateBaseUrl}/chat/completions`, question), { code: "closed" });
});

test("after a refused directory nothing is tried again until somebody asks for it", async () => {
  const { world, client } = await open();
  world.directory = "bad";
  await refuses(client, "directory-refused");
  world.directory = await makeDirectory(firstPair);
  await refuses(client, "directory-refused");
  assert.deepEqual(world.asked, ["/directory"]);
});
