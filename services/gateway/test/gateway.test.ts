import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Bytes, copyBytes, encodeUtf8 } from "@sotto/base";
import { gatewayLimits } from "@sotto/gateway";
import { createUpstream, serve } from "@sotto/kit";
import {
  encapsulateChunkedRequest,
  encapsulateRequest,
  type KeyConfig,
  mediaTypes,
  ResponseParser,
  serializeRequest,
} from "@sotto/wire";
import fc from "fast-check";
import {
  authorized,
  configs,
  exchange,
  handle,
  innerRequest,
  makeToken,
  openFixture,
  post,
  staleConfig,
  stream,
} from "./fixture.ts";

const [config] = configs as [KeyConfig, KeyConfig]; // the fixture makes two
const closing: (() => Promise<void>)[] = [];
after(async () => {
  for (const close of closing) await close();
});

async function open(options: Parameters<typeof openFixture>[0] = {}) {
  const fixture = await openFixture(options);
  closing.push(fixture.close);
  return fixture;
}

test("a token opens a session, and the session goes on without one, with either kind of key", async () => {
  for (const config of configs) {
    const { gateway, calls } = await open();
    const opened = await exchange(gateway, authorized(await makeToken()), config);
    assert.equal(opened.status, 200);
    assert.equal(opened.text, "flight");
    assert.deepEqual(opened.headers, [["sotto-session", handle]]);
    const next = await exchange(
      gateway,
      innerRequest({ path: `/sessions/${handle}`, content: encodeUtf8("more") }),
      config,
    );
    assert.equal(next.text, "more");
    assert.deepEqual(next.headers, []);
    // The node is told the flight and nothing else: no token, no header of the client.
    const headers = { "content-type": "application/octet-stream" };
    assert.deepEqual(calls, [
      { url: "http://alpha.invalid/sessions", headers, body: encodeUtf8("flight") },
      { url: `http://alpha.invalid/sessions/${handle}`, headers, body: encodeUtf8("more") },
    ]);
  }
});

test("the node is the client's choice, and only nodes that exist and paths that are meant can be reached", async () => {
  const { gateway, route, calls } = await open();
  await exchange(gateway, authorized(await makeToken(), { authority: "beta.sotto.invalid" }));
  assert.equal(calls.pop()?.url, "http://beta.invalid/sessions");
  const token = await makeToken();
  const wrong = [
    { authority: "gamma.sotto.invalid" },
    { authority: "alpha.sotto.invalid.example" },
    { authority: "x.alpha.sotto.invalid" },
    { authority: "alpha.sotto.invalid:80" },
    { authority: "user@alpha.sotto.invalid" },
    { authority: "ALPHA.sotto.invalid" },
    { authority: "__proto__.sotto.invalid" },
    { authority: "constructor.sotto.invalid" },
    { authority: "" },
    { scheme: "http" },
    { path: "/" },
    { path: "/sessions/" },
    { path: "/sessions?a" },
    { path: "//sessions" },
    { path: "/sessions/../sessions" },
    { path: "/%73essions" },
    { path: "http://elsewhere/sessions" },
    { path: `/sessions/${handle}/x` },
    { path: `/sessions/${handle.toUpperCase()}` },
  ];
  for (const changes of wrong) {
    // Past the codec, which refuses some of them by itself.
    const { status } = await route(authorized(token, changes), new AbortController().signal);
    assert.equal(status, 404, JSON.stringify(changes));
  }
  assert.equal((await exchange(gateway, authorized(token, { method: "GET" }))).status, 405);
  assert.deepEqual(calls, []);
  // None of them has cost the token.
  assert.equal((await exchange(gateway, authorized(token))).status, 200);
});

test("a session is known only where it was opened, and only for a while", async () => {
  const { gateway, calls, setNow } = await open();
  const onward = (authority: string, session = handle) =>
    exchange(gateway, innerRequest({ authority, path: `/sessions/${session}` }));
  assert.equal((await onward("alpha.sotto.invalid")).status, 404);
  await exchange(gateway, authorized(await makeToken()));
  calls.length = 0;
  assert.equal((await onward("beta.sotto.invalid")).status, 404);
  assert.equal((await onward("alpha.sotto.invalid", "cd".repeat(16))).status, 404);
  assert.deepEqual(calls, [], "no node is asked about a handle that is not known here");
  assert.equal((await onward("alpha.sotto.invalid")).status, 200);
  setNow(1_000_000 + 15 * 60);
  assert.equal((await onward("alpha.sotto.invalid")).status, 404);
});

test("a node that gives no proper handle has opened nothing", async () => {
  for (const bad of [undefined, "", "AB".repeat(16), "ab".repeat(17), "canary"]) {
    const { gateway } = await open({
      node: () => new Response("x", { headers: bad === undefined ? {} : { "sotto-session": bad } }),
    });
    const answer = await exchange(gateway, authorized(await makeToken()));
    assert.equal(answer.status, 502);
    assert.deepEqual(
      answer.headers.map(([name]) => name),
      ["content-type"],
    );
  }
});

test("a node's refusal passes inside the envelope, its headers do not", async () => {
  const { gateway } = await open({
    node: () =>
      new Response("busy", { status: 503, headers: { "sotto-session": handle, "x-canary": "canary" } }),
  });
  const answer = await exchange(gateway, authorized(await makeToken()));
  assert.deepEqual([answer.status, answer.text, answer.headers], [503, "busy", []]);
  assert.equal((await exchange(gateway, innerRequest({ path: `/sessions/${handle}` }))).status, 404);
});

test("a node that is not there, breaks off or says too much is a sealed 502", async () => {
  const nodes = [
    () => Promise.reject(new Error("canary")),
    () =>
      new Response(new ReadableStream({ pull: (controller) => controller.error(new Error("canary")) }), {
        headers: { "sotto-session": handle },
      }),
    () => new Response(new Uint8Array(1024 * 1024 + 1), { headers: { "sotto-session": handle } }),
  ];
  for (const node of nodes) {
    const { gateway } = await open({ node });
    const answer = await exchange(gateway, authorized(await makeToken()));
    assert.equal(answer.status, 502);
    assert.ok(!answer.text.includes("canary"));
  }
});

test("audit 16: a whole answer's size falls into few classes, and a refusal looks like an answer", async () => {
  const sizes = new Set<number>();
  for (const length of [0, 1, 100, 900]) {
    const { gateway } = await open({
      node: () => new Response(new Uint8Array(length), { headers: { "sotto-session": handle } }),
    });
    sizes.add((await exchange(gateway, authorized(await makeToken()))).size);
    sizes.add((await exchange(gateway, innerRequest())).size);
  }
  assert.deepEqual([...sizes], [1024 + 16 + 16]); // padded answer, response nonce, tag
});

test("each piece of a streamed answer is sealed and sent when it comes", async () => {
  let send = (_bytes: Bytes | undefined): void => {};
  const { gateway } = await open({
    node: () =>
      new Response(
        new ReadableStream({
          start(controller) {
            send = (bytes) => (bytes === undefined ? controller.close() : controller.enqueue(bytes));
          },
        }),
        { headers: { "sotto-session": handle } },
      ),
  });
  const { response, opener } = await stream(gateway, authorized(await makeToken()));
  assert.equal(response.headers.get("content-type"), mediaTypes.chunkedResponse);
  const reader = response.body?.getReader();
  const parser = new ResponseParser();
  const next = async () => {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done || value === undefined) return parser.push(await opener.finish()).concat(parser.finish());
    return (await opener.push(copyBytes(value))).flatMap((chunk) => parser.push(chunk));
  };
  assert.deepEqual(await next(), [{ type: "head", status: 200, headers: [["sotto-session", handle]] }]);
  for (const text of ["one", "two", "three"]) {
    send(encodeUtf8(text));
    assert.deepEqual(await next(), [{ type: "content", bytes: encodeUtf8(text) }]);
  }
  send(undefined);
  assert.deepEqual(await next(), []); // the final chunk has come, and is known to be it when the stream ends
  assert.deepEqual(await next(), [{ type: "end", trailers: [] }]);
});

test("a streamed answer that breaks off has no final chunk", async () => {
  let pulls = 0;
  const { gateway } = await open({
    node: () =>
      new Response(
        new ReadableStream(
          {
            pull(controller) {
              pulls += 1;
              if (pulls < 3) controller.enqueue(new Uint8Array(10));
              else controller.error(new Error("canary"));
            },
          },
          { highWaterMark: 0 },
        ),
        { headers: { "sotto-session": handle } },
      ),
  });
  const { response, opener } = await stream(gateway, authorized(await makeToken()));
  const reader = response.body?.getReader();
  let chunks = 0;
  await assert.rejects(async () => {
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true };
      if (done || value === undefined) return;
      chunks += (await opener.push(copyBytes(value))).length;
    }
  });
  assert.equal(chunks, 3);
  await assert.rejects(opener.finish(), { code: "truncated" });
});

test("a client that leaves a stream ends the node's work", async () => {
  const cancelled = Promise.withResolvers<void>();
  const node = await serve({
    port: 0,
    handler: async () =>
      new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new Uint8Array(1)),
          cancel: () => cancelled.resolve(),
        }),
        {
          headers: { "sotto-session": handle },
        },
      ),
  });
  closing.push(node.close);
  const upstream = createUpstream();
  const { gateway } = await open({
    node: () => upstream(node.address, { method: "POST", body: new Uint8Array(1) }),
  });
  const { response } = await stream(gateway, authorized(await makeToken()));
  await response.body?.cancel();
  await cancelled.promise;
});

const failure = '{"type":"about:blank","status":400,"code":"decryption-failed"}';

test("whatever is wrong with an envelope, the answer is the same bytes", async () => {
  const { gateway, calls } = await open();
  const content = serializeRequest(innerRequest());
  const plain = copyBytes((await encapsulateRequest(config, content)).request);
  const sealed = await encapsulateChunkedRequest(config);
  const chunked = new Uint8Array([
    ...sealed.header,
    ...(await sealed.seal(content)),
    ...(await sealed.sealFinal(new Uint8Array())),
  ]);
  const answers = new Set<string>();
  const send = async (type: string, bytes: Bytes): Promise<string> => {
    const response = await gateway(post(type, bytes));
    const text = `${response.status} ${JSON.stringify([...response.headers])} ${await response.text()}`;
    answers.add(text);
    return text;
  };
  for (const [type, whole] of [
    [mediaTypes.request, plain],
    [mediaTypes.chunkedRequest, chunked],
  ] as const) {
    for (let length = 7; length < whole.length; length += 1) await send(type, whole.slice(0, length));
    for (let index = 7; index < whole.length; index += 1) {
      await send(
        type,
        whole.map((byte, at) => (at === index ? byte ^ 1 : byte)),
      );
    }
    await send(type, new Uint8Array([...whole, 0]));
    for (const bhttp of [
      new Uint8Array(),
      new Uint8Array([1]),
      content.slice(0, 20),
      new Uint8Array([...content, 1]),
    ]) {
      const other = await encapsulateRequest(config, bhttp);
      if (type === mediaTypes.request) await send(type, copyBytes(other.request));
    }
  }
  await send(mediaTypes.chunkedRequest, plain);
  await send(mediaTypes.request, chunked);
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      await send(mediaTypes.request, new Uint8Array([...plain.slice(0, 7), ...bytes]));
    }),
    { numRuns: 50 },
  );
  assert.deepEqual([...answers], [`400 [["content-type","application/problem+json"]] ${failure}`]);
  assert.deepEqual(calls, []);
});

test("a key that is not here is told apart, by type and status, whatever of its name is wrong", async () => {
  const { gateway } = await open();
  const content = serializeRequest(innerRequest());
  const stale = copyBytes((await encapsulateRequest(staleConfig, content)).request);
  const own = copyBytes((await encapsulateRequest(config, content)).request);
  const named = [
    stale,
    ...[0, 1, 2, 3, 4, 5, 6].map((index) => own.map((byte, at) => (at === index ? byte ^ 0x40 : byte))),
  ];
  for (const bytes of named) {
    const response = await gateway(post(mediaTypes.request, bytes));
    assert.equal(response.status, 401);
    assert.deepEqual(await response.json(), {
      type: "https://iana.org/assignments/http-problem-types#ohttp-key",
      status: 401,
      code: "unknown-key",
    });
  }
});

test("other paths, methods, types and sizes are refused before anything is opened", async () => {
  const { gateway } = await open();
  const bytes = new Uint8Array(10);
  const status = async (request: Request): Promise<number> => (await gateway(request)).status;
  assert.equal(await status(new Request("http://gateway.invalid/gateway")), 405);
  assert.equal(await status(new Request("http://gateway.invalid/", { method: "POST", body: bytes })), 404);
  for (const type of [
    "",
    "message/bhttp",
    "message/ohttp-res",
    "message/ohttp-req;a=b",
    "application/json",
  ]) {
    assert.equal(await status(post(type, bytes)), 415);
  }
  const large = new Uint8Array(gatewayLimits.maxBodyBytes + 1);
  assert.equal(await status(post(mediaTypes.request, large)), 413);
  assert.equal(await status(post(mediaTypes.chunkedRequest, large)), 413);
});
