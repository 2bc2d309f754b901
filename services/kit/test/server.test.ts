import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { after, test } from "node:test";
import {
  ConfigError,
  problem,
  type RunningServer,
  type ServeFailure,
  type ServeOptions,
  serve,
} from "@sotto/kit";

const running: RunningServer[] = [];
after(() => Promise.all(running.map((server) => server.close())));

async function start(
  handler: ServeOptions["handler"],
  options: Partial<ServeOptions> = {},
): Promise<{ address: string; port: number; failures: ServeFailure[] }> {
  const failures: ServeFailure[] = [];
  const server = await serve({
    handler,
    port: 0,
    onFailure: (failure) => failures.push(failure),
    ...options,
  });
  running.push(server);
  return { address: server.address, port: Number(new URL(server.address).port), failures };
}

/** Sends bytes as they are and returns all that comes back until the connection ends. */
function raw(port: number, ...parts: readonly (string | Uint8Array)[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      for (const part of parts) socket.write(part);
    });
    let text = "";
    socket.on("data", (data) => {
      text += data.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
  });
}

const echo = async (request: Request): Promise<Response> => new Response(await request.arrayBuffer());

test("a body comes through whole, and the answer carries neither Date nor Server", async () => {
  const { address } = await start(echo);
  const body = crypto.getRandomValues(new Uint8Array(60_000));
  const response = await fetch(address, { method: "POST", body });
  assert.deepEqual(new Uint8Array(await response.arrayBuffer()), body);
  assert.deepEqual(
    ["date", "server", "x-powered-by"].filter((name) => response.headers.has(name)),
    [],
  );
});

test("a body over the limit is refused, whether it is declared, chunked or a lie", async () => {
  let whole = 0;
  const handler = async (request: Request): Promise<Response> => {
    await request.arrayBuffer();
    whole += 1;
    return new Response("whole");
  };
  const { address, port, failures } = await start(handler, { maxBodyBytes: 1000 });
  const declared = await fetch(address, { method: "POST", body: new Uint8Array(1001) });
  assert.equal(declared.status, 413);
  assert.deepEqual(await declared.json(), { type: "about:blank", status: 413, code: "too-large" });
  const chunk = `200\r\n${"x".repeat(0x200)}\r\n`;
  const head = "POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
  assert.match(await raw(port, head, chunk, chunk, chunk), /^HTTP\/1\.1 413 /);
  assert.match(await raw(port, head, chunk, chunk, "0\r\n\r\n"), /^HTTP\/1\.1 413 /);
  const both =
    "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n";
  assert.doesNotMatch(await raw(port, both, chunk, "0\r\n\r\n"), /HTTP\/1\.1 200/);
  assert.equal(whole, 0);
  assert.deepEqual(failures, []);
  const fits = await fetch(address, { method: "POST", body: new Uint8Array(1000) });
  assert.equal(await fits.text(), "whole");
});

test("headers over 16 KiB, malformed requests and CONNECT end the connection; an upgrade is just a request", async () => {
  const { port } = await start(async () => new Response("plain"));
  assert.doesNotMatch(
    await raw(port, `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${"y".repeat(17_000)}\r\n\r\n`),
    / 200 /,
  );
  assert.doesNotMatch(await raw(port, "GET / HTTP/9.9\r\n\r\n"), / 200 /);
  assert.doesNotMatch(await raw(port, "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n"), / 200 /);
  const upgraded = await raw(
    port,
    "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n",
  );
  assert.match(upgraded, /^HTTP\/1\.1 200 /);
  assert.doesNotMatch(upgraded, /101/);
});

test("a handler that throws is told as 500, with nothing of its error in the answer or in the events", async () => {
  const { address, failures } = await start(async () => {
    throw new Error("canary-4711");
  });
  const response = await fetch(address);
  assert.equal(response.status, 500);
  assert.equal(await response.text(), '{"type":"about:blank","status":500,"code":"internal"}');
  assert.deepEqual(failures, ["handler"]);
});

test("an answer that breaks off breaks the connection, and prints nothing", async (context) => {
  const printed: string[] = [];
  for (const stream of [process.stdout, process.stderr]) {
    context.mock.method(stream, "write", (text: unknown) => printed.push(String(text)) > 0);
  }
  const { port, failures } = await start(async () => {
    let pulls = 0;
    return new Response(
      new ReadableStream({
        async pull(controller) {
          pulls += 1;
          await new Promise((resolve) => setTimeout(resolve, 10));
          if (pulls === 1) controller.enqueue(new TextEncoder().encode("first"));
          else controller.error(new Error("canary-4711"));
        },
      }),
    );
  });
  const text = await raw(port, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
  context.mock.restoreAll();
  assert.match(text, /first/);
  assert.ok(!text.endsWith("0\r\n\r\n"), "looks like a whole answer");
  assert.ok(!text.includes("canary"));
  assert.deepEqual(
    printed.filter((line) => line.includes("canary")),
    [],
  );
  assert.deepEqual(failures, ["answer"]);
});

test("chunks leave one by one, not when the answer is over", async () => {
  const gates: (() => void)[] = [];
  const { address } = await start(
    async () =>
      new Response(
        new ReadableStream(
          {
            async pull(controller) {
              await new Promise<void>((open) => gates.push(open));
              if (gates.length > 3) controller.close();
              else controller.enqueue(new Uint8Array([gates.length]));
            },
          },
          { highWaterMark: 0 },
        ),
      ),
  );
  const response = await fetch(address); // resolves although no byte of the body is there
  const reader = response.body?.getReader();
  for (const expected of [1, 2, 3]) {
    const next = reader?.read();
    while (gates.length < expected) await new Promise(setImmediate);
    gates[expected - 1]?.();
    assert.deepEqual((await next)?.value, new Uint8Array([expected]));
  }
});

test("a client that leaves aborts the signal and cancels the answer", async () => {
  const seen = Promise.withResolvers<string>();
  let aborted = false;
  const { port, failures } = await start(async (request) => {
    request.signal.addEventListener("abort", () => {
      aborted = true;
    });
    return new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(new Uint8Array(10)),
        cancel: () => seen.resolve("cancelled"),
      }),
    );
  });
  const client = httpRequest({ port, host: "127.0.0.1" }, (response) => {
    response.once("data", () => client.destroy());
    response.on("error", () => {});
  });
  client.on("error", () => {}).end();
  assert.equal(await seen.promise, "cancelled");
  while (!aborted) await new Promise(setImmediate);
  assert.deepEqual(failures, []);
});

test("more requests at once than allowed are told to come back, and room is counted to the end of an answer", async () => {
  const gate = Promise.withResolvers<void>();
  const { address } = await start(
    async () =>
      new Response(
        new ReadableStream({
          async start(controller) {
            await gate.promise;
            controller.close();
          },
        }),
      ),
    { maxInFlight: 2 },
  );
  const held = [await fetch(address), await fetch(address)];
  const refused = await fetch(address);
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get("retry-after"), "1");
  gate.resolve();
  await Promise.all(held.map((response) => response.arrayBuffer()));
  for (;;) {
    const next = await fetch(address);
    await next.arrayBuffer();
    if (next.status === 200) break;
  }
});

test("closing lets a running answer finish", async () => {
  const gate = Promise.withResolvers<void>();
  const server = await serve({
    port: 0,
    handler: async () => {
      gate.resolve();
      await new Promise((resolve) => setTimeout(resolve, 50));
      return new Response("done");
    },
  });
  const pending = fetch(server.address);
  await gate.promise;
  const closed = server.close();
  assert.equal(await (await pending).text(), "done");
  await closed;
  await assert.rejects(fetch(server.address));
});

test("a request for another host is refused before the handler, and its connection ends", async () => {
  let handled = 0;
  const handler = async (request: Request): Promise<Response> => {
    handled += 1;
    return new Response(new URL(request.url).pathname);
  };
  const { port } = await start(handler, { hosts: ["relay.example", "Relay.Example:8443"] });
  const ask = (head: string): Promise<string> => raw(port, `${head}connection: close\r\n\r\n`);
  const served = [
    ...[
      "127.0.0.1",
      `127.0.0.1:${port}`,
      "127.0.0.1:9",
      `localhost:${port}`,
      "LOCALHOST",
      "[::1]",
      "[::1]:9",
    ],
    ...["relay.example", "RELAY.example", "relay.example:8443"],
  ];
  for (const host of served) {
    assert.match(await ask(`GET /a HTTP/1.1\r\nhost: ${host}\r\n`), /^HTTP\/1\.1 200 .*\/a/s, host);
    const absolute = `GET http://${host}/b HTTP/1.1\r\nHost: ${host}\r\n`;
    assert.match(await ask(absolute), /^HTTP\/1\.1 200 .*\/b/s, absolute);
  }
  assert.equal(handled, 2 * served.length);
  const elsewhere = [
    ...[
      "evil.example",
      "",
      "a",
      "relay.example:1",
      "relay.example.",
      "xrelay.example",
      "127.0.0.2",
      "0.0.0.0",
    ],
    ...[
      "127.0.0.1.evil.example",
      "127.0.0.1:",
      "127.0.0.1:1:1",
      "127.0.0.1:123456",
      "localhost.evil.example",
    ],
    ...["u@127.0.0.1", "127.0.0.1, evil.example", "127.0.0.1 evil", "::1", "[::2]", "2130706433", "0x7f.1"],
    ...["localhost.", "sub.localhost", "127.1", "127.0.0.1/", "127.0.0.1#", "127.0.0.1\\"],
  ];
  for (const host of elsewhere)
    assert.match(await ask(`GET / HTTP/1.1\r\nhost: ${host}\r\n`), /^HTTP\/1\.1 421 .*"wrong-host"/s, host);
  const local = "host: 127.0.0.1\r\n";
  const targets = [
    "http://evil.example/",
    "http://127.0.0.1:9/",
    "http://u@127.0.0.1/",
    "https://evil.example",
  ];
  for (const target of targets)
    assert.match(await ask(`GET ${target} HTTP/1.1\r\n${local}`), /^HTTP\/1\.1 421 /, target);
  const malformed = [
    "GET / HTTP/1.1\r\n",
    "GET / HTTP/1.0\r\n",
    `GET / HTTP/1.1\r\n${local}${local}`,
    `GET / HTTP/1.1\r\n${local}HOST: evil.example\r\n`,
    `OPTIONS * HTTP/1.1\r\n${local}`,
  ];
  for (const head of malformed) assert.match(await ask(head), /^HTTP\/1\.1 400 /, head);
  const body = `POST / HTTP/1.1\r\nhost: evil.example\r\ncontent-length: 5000000\r\n\r\n`;
  assert.match(await raw(port, body, new Uint8Array(100_000)), /^HTTP\/1\.1 421 /);
  assert.equal(handled, 2 * served.length);
});

test("a server says why it cannot listen", async () => {
  const { port } = await start(echo);
  await assert.rejects(
    serve({ port, handler: echo }),
    (error) => error instanceof ConfigError && error.code === "address-unavailable",
  );
});

test("a problem is a status and a code, and a registered type where there is one", async () => {
  const stale = problem(401, "unknown-key", { type: "https://example.invalid/type", retryAfterMs: 1500 });
  assert.equal(stale.headers.get("content-type"), "application/problem+json");
  assert.equal(stale.headers.get("retry-after"), "2");
  assert.deepEqual(await stale.json(), {
    type: "https://example.invalid/type",
    status: 401,
    code: "unknown-key",
  });
});
