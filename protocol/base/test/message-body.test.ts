import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { readBody } from "@sotto/base";

test("reading a body stops at its limit", async () => {
  const make = (length: number) => new Request("http://a", { method: "POST", body: new Uint8Array(length) });
  assert.equal((await readBody(make(10), 10))?.length, 10);
  assert.equal(await readBody(make(11), 10), undefined);
  assert.equal((await readBody(new Response(null), 10))?.length, 0);
  let pulled = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled += 1;
      controller.enqueue(new Uint8Array(10));
    },
  });
  assert.equal(await readBody(new Response(endless), 100), undefined);
  assert.ok(pulled < 20, `${pulled} pieces were read`);
});

test("a page is not shown whether an answer of another origin was packed, so that is counted as it comes", async () => {
  let pulled = 0;
  const unpacking = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled += 1;
      controller.enqueue(new Uint8Array(10));
      if (pulled === 1000) controller.close();
    },
  });
  const response = new Response(unpacking, { headers: { "content-length": "10" } });
  Object.defineProperty(response, "type", { value: "cors" });
  assert.equal(await readBody(response, 100), undefined);
  assert.ok(pulled < 20, `${pulled} pieces were read`);
});

test("a body that says it is short, and unpacks to more, is not unpacked whole", async () => {
  const packed = gzipSync(new Uint8Array(64 * 1024 * 1024));
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-encoding": "gzip", "content-length": packed.length }).end(packed);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const response = await fetch(`http://127.0.0.1:${address.port}`);
  const before = process.memoryUsage().arrayBuffers;
  assert.equal(await readBody(response, 256 * 1024), undefined);
  assert.ok(process.memoryUsage().arrayBuffers - before < 32 * 1024 * 1024);
  server.close();
});
