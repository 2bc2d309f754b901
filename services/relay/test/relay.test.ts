import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import { createUpstream, type RunningServer, serve, type Upstream } from "@sotto/kit";
import { createRelay, relayLimits } from "@sotto/relay";

const running: RunningServer[] = [];
after(() => Promise.all(running.map((server) => server.close())));

type Seen = {
  readonly url: string;
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
};

const sealed = { "content-type": "message/ohttp-res" };
const chunked = { "content-type": "message/ohttp-chunked-res" };

/** A relay whose gateway is a function; what the gateway sees is kept. */
function relayTo(gateway: (seen: Seen) => Response | Promise<Response>, clock: () => number = Date.now) {
  const seen: Seen[] = [];
  const fetch: Upstream = async (url, { method, headers = {}, body }) => {
    const entry = {
      url: String(url),
      method,
      headers: { ...headers },
      body: new Uint8Array(await new Response(body ?? null).arrayBuffer()),
    };
    seen.push(entry);
    return gateway(entry);
  };
  const relay = createRelay({
    gatewayUrl: "http://gateway.invalid/gateway",
    directoryUrl: "http://log.invalid/directory",
    fetch,
    clock,
  });
  return { relay, seen };
}

function post(
  body: Uint8Array<ArrayBuffer> | null,
  headers: Record<string, string>,
  path = "/relay",
): Request {
  return new Request(`http://relay.invalid${path}`, { method: "POST", headers, body });
}

const canaryHeaders = {
  "content-type": "message/ohttp-req",
  authorization: "canary-1",
  cookie: "canary-2",
  "user-agent": "canary-3",
  "x-forwarded-for": "192.0.2.7",
  forwarded: "for=192.0.2.7",
  "accept-language": "canary-4",
  "x-anything": "canary-5",
};

test("of a request, its type, its length and its bytes go on: no header, no address, no path, no query", async () => {
  const { relay, seen } = relayTo(
    () => new Response("answer", { headers: { ...sealed, "x-gateway": "canary-6" } }),
  );
  const body = crypto.getRandomValues(new Uint8Array(1000));
  const response = await relay(post(body, canaryHeaders, "/relay?canary-7"));
  assert.equal(await response.text(), "answer");
  assert.deepEqual(seen, [
    {
      url: "http://gateway.invalid/gateway",
      method: "POST",
      headers: { "content-type": "message/ohttp-req" },
      body,
    },
  ]);
  // Nor does anything of the gateway's come back but its type and its bytes.
  assert.deepEqual(
    [...response.headers],
    [
      ["cache-control", "no-store"],
      ["content-type", "message/ohttp-res"],
    ],
  );
});

test("on the wire too: the gateway is shown neither header nor address of a client", async () => {
  const heads: [string, string][][] = [];
  const gateway = await serve({
    port: 0,
    handler: async (request) => {
      heads.push([...request.headers].filter(([name]) => name !== "host"));
      return new Response(await request.arrayBuffer(), { headers: chunked });
    },
  });
  const handler = createRelay({
    gatewayUrl: gateway.address,
    directoryUrl: gateway.address,
    fetch: createUpstream(),
    clock: Date.now,
  });
  const relay = await serve({ handler, port: 0, ...relayLimits });
  running.push(gateway, relay);
  const body = Uint8Array.from({ length: 300_000 }, (_, index) => index * 11);
  const headers = { ...canaryHeaders, "content-type": "message/ohttp-chunked-req" };
  const response = await fetch(new URL("/relay", relay.address), { method: "POST", headers, body });
  assert.deepEqual(new Uint8Array(await response.arrayBuffer()), body);
  assert.deepEqual(heads, [
    [
      ["connection", "keep-alive"],
      ["content-length", "300000"],
      ["content-type", "message/ohttp-chunked-req"],
    ],
  ]);
});

test("each chunk is passed on when it comes, and an answer that breaks off stays broken", async () => {
  let send = (_chunk: Uint8Array | Error): void => {};
  const gateway = await serve({
    port: 0,
    handler: async () =>
      new Response(
        new ReadableStream({
          start(controller) {
            send = (chunk) => (chunk instanceof Error ? controller.error(chunk) : controller.enqueue(chunk));
          },
        }),
        { headers: chunked },
      ),
  });
  const failures: string[] = [];
  const handler = createRelay({
    gatewayUrl: gateway.address,
    directoryUrl: gateway.address,
    fetch: createUpstream(),
    clock: Date.now,
  });
  const relay = await serve({ handler, port: 0, onFailure: (failure) => failures.push(failure) });
  running.push(gateway, relay);
  const response = await fetch(new URL("/relay", relay.address), {
    method: "POST",
    headers: { "content-type": "message/ohttp-chunked-req" },
    body: new Uint8Array(100),
  });
  const reader = response.body?.getReader();
  for (const byte of [1, 2, 3]) {
    send(new Uint8Array([byte]));
    assert.deepEqual((await reader?.read())?.value, new Uint8Array([byte]));
  }
  send(new Error("canary"));
  await assert.rejects(async () => reader?.read());
  assert.deepEqual(failures, ["answer"]);
});

test("a client that leaves takes the gateway's work with it", async () => {
  const cancelled = Promise.withResolvers<void>();
  const gateway = await serve({
    port: 0,
    handler: async () =>
      new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new Uint8Array(1)),
          cancel: () => cancelled.resolve(),
        }),
        { headers: chunked },
      ),
  });
  const failures: string[] = [];
  const handler = createRelay({
    gatewayUrl: gateway.address,
    directoryUrl: gateway.address,
    fetch: createUpstream(),
    clock: Date.now,
  });
  const relay = await serve({ handler, port: 0, onFailure: (failure) => failures.push(failure) });
  running.push(gateway, relay);
  const response = await fetch(new URL("/relay", relay.address), {
    method: "POST",
    headers: { "content-type": "message/ohttp-chunked-req" },
    body: new Uint8Array(100),
  });
  await response.body?.cancel();
  await cancelled.promise;
  assert.deepEqual(failures, []);
});

test("only sealed requests pass, and only sealed answers of the same kind", async () => {
  const { relay, seen } = relayTo(() => new Response("x", { headers: sealed }));
  const body = new Uint8Array(10);
  for (const type of [
    "application/json",
    "message/ohttp-req; a=b",
    "message/ohttp-res",
    "message/bhttp",
    "",
  ]) {
    assert.equal((await relay(post(body, { "content-type": type }))).status, 415, type);
  }
  assert.equal((await relay(post(body, sealed, "/gateway"))).status, 404);
  assert.equal((await relay(post(body, sealed, "/relay/"))).status, 404);
  assert.equal((await relay(new Request("http://relay.invalid/relay"))).status, 405);
  assert.equal((await relay(post(body, {}, "/directory"))).status, 405);
  assert.equal((await relay(post(null, { "content-type": "message/ohttp-req" }))).status, 400);
  const tooLong = {
    "content-type": "message/ohttp-req",
    "content-length": String(relayLimits.maxBodyBytes + 1),
  };
  assert.equal((await relay(post(body, tooLong))).status, 413);
  assert.deepEqual(seen, []);
  // A plain answer to a streamed request, or the other way round, is no answer.
  const mixed = await relay(post(body, { "content-type": "message/ohttp-chunked-req" }));
  assert.equal(mixed.status, 502);
});

test("of a refusal only the status passes", async () => {
  for (const [status, expected] of [
    [400, 400],
    [401, 401],
    [413, 413],
    [503, 503],
    [200, 502],
    [302, 502],
    [204, 502],
  ] as const) {
    const { relay } = relayTo(
      () =>
        new Response(status === 204 ? null : "canary", {
          status,
          headers: { "content-type": "text/canary", "www-authenticate": "canary", location: "http://canary" },
        }),
    );
    const response = await relay(post(new Uint8Array(1), { "content-type": "message/ohttp-req" }));
    assert.equal(response.status, expected);
    const text = JSON.stringify([...response.headers]) + (await response.text());
    assert.ok(!text.includes("canary"), text);
  }
  const { relay } = relayTo(() => Promise.reject(new Error("canary")));
  const response = await relay(post(new Uint8Array(1), { "content-type": "message/ohttp-req" }));
  assert.equal(await response.text(), '{"type":"about:blank","status":502,"code":"gateway-unreachable"}');
});

test("audit 38: a body without an end is cut at the limit, and a flood is told to come back", async () => {
  const held: (() => void)[] = [];
  const gateway = await serve({
    port: 0,
    handler: async (request) => {
      await request.arrayBuffer();
      await new Promise<void>((release) => held.push(release));
      return new Response("x", { headers: sealed });
    },
  });
  const handler = createRelay({
    gatewayUrl: gateway.address,
    directoryUrl: gateway.address,
    fetch: createUpstream(),
    clock: Date.now,
  });
  const relay = await serve({ handler, port: 0, maxBodyBytes: relayLimits.maxBodyBytes, maxInFlight: 8 });
  running.push(gateway, relay);
  const answer = await new Promise<string>((resolve) => {
    const socket = connect(Number(new URL(relay.address).port), "127.0.0.1", () => {
      socket.write(
        "POST /relay HTTP/1.1\r\nhost: localhost\r\ncontent-type: message/ohttp-req\r\ntransfer-encoding: chunked\r\n\r\n",
      );
      const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
      const more = (): void => {
        while (!socket.destroyed) if (!socket.write(chunk)) return void socket.once("drain", more);
      };
      more();
    });
    let text = "";
    socket.on("data", (data) => {
      text += data.toString("latin1");
    });
    socket.on("error", () => {}).on("close", () => resolve(text));
  });
  assert.ok(answer === "" || answer.startsWith("HTTP/1.1 413 "), answer);
  assert.equal(held.length, 0);

  const flood = Array.from({ length: 40 }, () =>
    fetch(new URL("/relay", relay.address), {
      method: "POST",
      headers: { "content-type": "message/ohttp-req" },
      body: "x",
    }),
  );
  let refused = 0;
  for (const pending of flood) void pending.then(({ status }) => (refused += status === 503 ? 1 : 0));
  while (refused < 32) await new Promise(setImmediate);
  assert.equal(held.length, 8);
  for (const release of held) release();
  const statuses = (await Promise.all(flood)).map(({ status }) => status).sort();
  assert.deepEqual(statuses, [...Array(8).fill(200), ...Array(32).fill(503)]);
});

test("audit 1: every client gets the same bytes and headers of the directory, whatever it sends", async () => {
  const { relay, seen } = relayTo(
    () =>
      new Response("directory\n", {
        headers: { "cache-control": "public, max-age=2", etag: '"1"', "x-mark": "canary" },
      }),
  );
  const requests = [
    {},
    canaryHeaders,
    { "if-none-match": '"1"' },
    { range: "bytes=0-1" },
    { "cache-control": "no-cache" },
  ];
  const answers = await Promise.all(
    requests.map(async (headers, index) => {
      const response = await relay(
        new Request(`http://relay.invalid/directory?client=${index}`, { headers }),
      );
      return { status: response.status, headers: [...response.headers], text: await response.text() };
    }),
  );
  const [first] = answers;
  assert.deepEqual(first, {
    status: 200,
    headers: [
      ["cache-control", "public, max-age=2"],
      ["content-type", "text/plain; charset=utf-8"],
    ],
    text: "directory\n",
  });
  for (const answer of answers) assert.deepEqual(answer, first);
  // One fetch for all of them, with nothing of theirs in it.
  assert.deepEqual(seen, [
    { url: "http://log.invalid/directory", method: "GET", headers: {}, body: new Uint8Array() },
  ]);
});

test("the directory is kept as long as its source says, and when that is down for five minutes more at most", async () => {
  let now = 0;
  let version = 1;
  let isUp = true;
  const { relay, seen } = relayTo(
    () =>
      isUp
        ? new Response(`version ${version}`, { headers: { "cache-control": "public, max-age=2" } })
        : new Response("canary", { status: 500 }),
    () => now,
  );
  const get = async (): Promise<string> => {
    const response = await relay(new Request("http://relay.invalid/directory"));
    return response.status === 200 ? response.text() : String(response.status);
  };
  assert.equal(await get(), "version 1");
  version = 2;
  now = 1999;
  assert.equal(await get(), "version 1");
  now = 2000;
  assert.equal(await get(), "version 2");
  isUp = false;
  now = 10_000;
  assert.equal(await get(), "version 2");
  const fetches = seen.length;
  for (let count = 0; count < 20; count += 1) assert.equal(await get(), "version 2");
  assert.equal(seen.length, fetches, "a source that is down is not asked by everybody");
  now = 2000 + 299_999;
  assert.equal(await get(), "version 2");
  now = 2000 + 300_000;
  assert.equal(await get(), "502");
  isUp = true;
  now += 1000;
  assert.equal(await get(), "version 2");
});

test("a directory that is too large, or from a source that never says how long, is not kept", async () => {
  let now = 0;
  const sources = [
    () => new Response(new Uint8Array(256 * 1024 + 1), { headers: { "cache-control": "max-age=60" } }),
    () => new Response("never"),
  ];
  const { relay, seen } = relayTo(
    () => (sources.shift() ?? (() => new Response("again")))(),
    () => now,
  );
  const get = () => relay(new Request("http://relay.invalid/directory"));
  assert.equal((await get()).status, 502);
  now = 1000;
  assert.equal(await (await get()).text(), "never");
  now = 2000;
  assert.equal(await (await get()).text(), "again");
  assert.equal(seen.length, 3);
});

test("a page of any origin may post sealed requests and read the directory, and learns nothing else", async () => {
  const { relay } = relayTo(({ method }) =>
    method === "GET" ? new Response("directory") : new Response("answer", { headers: sealed }),
  );
  const server = await serve({ handler: relay, port: 0, ...relayLimits });
  running.push(server);
  const ask = async (path: string, init: RequestInit) => {
    const headers = { ...init.headers, origin: "https://app.example" };
    const response = await fetch(new URL(path, server.address), { ...init, headers });
    const told = [...response.headers].filter(([name]) => !/^(connection|keep-alive)$/.test(name));
    return [response.status, Object.fromEntries(told), await response.text()];
  };
  const open = { "access-control-allow-origin": "*" };
  const preflight = { ...open, "access-control-max-age": "86400" };
  assert.deepEqual(await ask("/relay", { method: "OPTIONS" }), [
    204,
    {
      ...preflight,
      "access-control-allow-headers": "content-type",
      "access-control-allow-methods": "POST",
    },
    "",
  ]);
  assert.deepEqual(await ask("/directory", { method: "OPTIONS" }), [
    204,
    { ...preflight, "access-control-allow-methods": "GET" },
    "",
  ]);
  const request = { method: "POST", body: "x", headers: { "content-type": "message/ohttp-req" } };
  const stream = { "transfer-encoding": "chunked" };
  assert.deepEqual(await ask("/relay", request), [
    200,
    { ...open, ...stream, "cache-control": "no-store", ...sealed },
    "answer",
  ]);
  const [status, told, text] = await ask("/directory", {});
  assert.deepEqual([status, text], [200, "directory"]);
  assert.deepEqual(told, {
    ...open,
    ...stream,
    "cache-control": "public, max-age=0",
    "content-type": "text/plain; charset=utf-8",
  });
  const other = await ask("/other", { method: "OPTIONS" });
  assert.deepEqual([other[0], other[1]], [404, { ...stream, "content-type": "application/problem+json" }]);
});

test("nothing of the relay's own can open what it forwards", () => {
  const manifest = JSON.parse(readFileSync(join(import.meta.dirname, "..", "package.json"), "utf8"));
  assert.deepEqual(Object.keys(manifest.dependencies).sort(), ["@sotto/base", "@sotto/kit", "zod"]);
});
