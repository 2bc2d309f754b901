import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { after, test } from "node:test";
import { createUpstream, UpstreamError } from "@sotto/kit";

const upstream = createUpstream();
const endings: (() => void)[] = [];
after(() => {
  for (const end of endings) end();
});

function listen(handler: (incoming: IncomingMessage, outgoing: ServerResponse) => void): Promise<string> {
  const server = createServer(handler);
  endings.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo; // listening on TCP
      resolve(`http://127.0.0.1:${port}`);
    });
  });
}

test("only the headers given go out, beside the ones that frame the message", async () => {
  const heads: string[][] = [];
  const url = await listen((incoming, outgoing) => {
    heads.push(Object.keys(incoming.headers).sort());
    incoming.pipe(outgoing);
  });
  const body = Uint8Array.from({ length: 200_000 }, (_, index) => index * 7);
  const headers = { "content-type": "message/ohttp-req" };
  const whole = await upstream(url, { method: "POST", headers, body });
  assert.deepEqual(new Uint8Array(await whole.arrayBuffer()), body);
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0; at < body.length; at += 999) controller.enqueue(body.subarray(at, at + 999));
      controller.close();
    },
  });
  const streamed = await upstream(url, {
    method: "POST",
    headers: { ...headers, "content-length": String(body.length) },
    body: stream,
  });
  assert.deepEqual(new Uint8Array(await streamed.arrayBuffer()), body);
  const names = ["connection", "content-length", "content-type", "host"];
  assert.deepEqual(heads, [names, names]);
});

test("connections are used again", async () => {
  const ports = new Set<number | undefined>();
  const url = await listen((incoming, outgoing) => {
    ports.add(incoming.socket.remotePort);
    outgoing.end("x");
  });
  for (let count = 0; count < 5; count += 1) {
    await (await upstream(url, { method: "GET" })).text();
    await new Promise(setImmediate);
  }
  assert.equal(ports.size, 1);
});

test("redirects are not followed, and a status without a body has none", async () => {
  const url = await listen((incoming, outgoing) => {
    outgoing.writeHead(incoming.url === "/empty" ? 204 : 302, { location: "/elsewhere" }).end();
  });
  assert.equal((await upstream(url, { method: "GET" })).status, 302);
  assert.equal((await upstream(`${url}/empty`, { method: "GET" })).body, null);
});

test("an answer that breaks off fails its body, chunked or of known length", async () => {
  for (const head of [
    "transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n",
    "content-length: 50\r\n\r\nfirst",
  ]) {
    const server = createTcpServer((socket) => {
      socket.once("data", () => {
        socket.write(`HTTP/1.1 200 OK\r\n${head}`, () => socket.destroySoon());
      });
      socket.on("error", () => {});
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo; // listening on TCP
    const response = await upstream(`http://127.0.0.1:${port}`, { method: "GET" });
    await assert.rejects(
      response.arrayBuffer(),
      (error) => error instanceof UpstreamError && error.code === "broke-off",
    );
    server.close();
  }
});

test("nobody there, or something that is not HTTP, is an error without a word of what was said", async () => {
  const server = createTcpServer((socket) =>
    socket
      .resume()
      .on("error", () => {})
      .end("canary-4711\r\n\r\n"),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // listening on TCP
  const refused = (error: unknown): boolean =>
    error instanceof UpstreamError && error.code === "unreachable" && !error.message.includes("canary");
  await assert.rejects(upstream(`http://127.0.0.1:${port}`, { method: "GET" }), refused);
  await new Promise((resolve) => server.close(resolve));
  await assert.rejects(upstream(`http://127.0.0.1:${port}`, { method: "GET" }), refused);
});

test("aborting ends a waiting request, and cancelling a body ends its connection", async () => {
  const gone: string[] = [];
  const noticed = Promise.withResolvers<void>();
  const url = await listen((incoming, outgoing) => {
    const { url: path = "" } = incoming;
    if (path === "/body") outgoing.write("first");
    outgoing.once("close", () => {
      gone.push(path);
      if (gone.length === 2) noticed.resolve();
    });
  });
  const abort = new AbortController();
  const waiting = upstream(`${url}/head`, { method: "GET", signal: abort.signal });
  setTimeout(() => abort.abort(), 20);
  await assert.rejects(waiting, UpstreamError);
  const response = await upstream(`${url}/body`, { method: "GET" });
  await response.body?.cancel();
  await noticed.promise;
  assert.deepEqual(gone.sort(), ["/body", "/head"]);
});

test("a request body that breaks off is never passed on as a whole one", async () => {
  const ends: boolean[] = [];
  const seen = Promise.withResolvers<void>();
  const url = await listen((incoming) => {
    incoming.resume().on("error", () => {});
    incoming.on("close", () => {
      ends.push(incoming.complete);
      seen.resolve();
    });
  });
  const broken = new ReadableStream<Uint8Array>({
    async pull(controller) {
      controller.enqueue(new Uint8Array(10));
      await new Promise((resolve) => setTimeout(resolve, 20));
      controller.error(new Error("client left"));
    },
  });
  await assert.rejects(upstream(url, { method: "POST", body: broken }), UpstreamError);
  await seen.promise;
  assert.deepEqual(ends, [false]);
});

test("a reader that does not read holds the sender back", async () => {
  let written = 0;
  const url = await listen((_incoming, outgoing) => {
    const more = (): void => {
      while (written < 64 * 1024 * 1024) {
        written += 65_536;
        if (!outgoing.write(new Uint8Array(65_536))) return void outgoing.once("drain", more);
      }
      outgoing.end();
    };
    more();
  });
  const response = await upstream(url, { method: "GET" });
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(written < 32 * 1024 * 1024, `${written} bytes were taken without a reader`);
  assert.equal((await response.arrayBuffer()).byteLength, 64 * 1024 * 1024);
});
