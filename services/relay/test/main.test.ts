import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { serve } from "@sotto/kit";

const entry = join(import.meta.dirname, "..", "src", "main.ts");
const canary = "canary-0815";

test("audit 5: the relay's process prints nothing of who asks or of what passes, whatever goes wrong", async (context) => {
  const upstream = await serve({
    port: 0,
    handler: async (request) => {
      if (new URL(request.url).pathname === "/directory") return new Response("directory\n");
      const body = await request.text();
      if (body.includes("refuse")) return new Response(canary, { status: 400 });
      const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
        controller.enqueue(new TextEncoder().encode(`${canary} answer`));
        if (!body.includes("break")) return controller.close();
        await new Promise((resolve) => setTimeout(resolve, 20));
        controller.error(new Error(canary));
      };
      return new Response(new ReadableStream({ pull }), { headers: { "content-type": "message/ohttp-res" } });
    },
  });
  const child = spawn(process.execPath, [entry], {
    env: {
      SOTTO_PORT: "0",
      SOTTO_GATEWAY: new URL("/gateway", upstream.address).href,
      SOTTO_DIRECTORY: new URL("/directory", upstream.address).href,
    },
    stdio: ["pipe", "pipe", "pipe"],
  });
  context.after(() => child.kill());
  let text = "";
  const address = await new Promise<string>((resolve) => {
    child.stdout.setEncoding("utf8").on("data", (data: string) => {
      text += data;
      resolve(JSON.parse(data).address);
    });
    child.stderr.setEncoding("utf8").on("data", (data: string) => {
      text += data;
    });
  });
  const headers = {
    "content-type": "message/ohttp-req",
    authorization: canary,
    cookie: canary,
    "x-forwarded-for": "192.0.2.7",
  };
  const post = (body: string): Promise<Response> =>
    fetch(new URL(`/relay?${canary}`, address), { method: "POST", headers, body });
  assert.equal(await (await post(canary)).text(), `${canary} answer`);
  assert.equal((await post("refuse")).status, 400);
  await assert.rejects(post("break").then((response) => response.arrayBuffer()));
  assert.equal((await fetch(new URL(`/${canary}`, address), { headers })).status, 404);
  const first = await fetch(new URL("/directory", address), { headers });
  const second = await fetch(new URL("/directory?2", address));
  assert.deepEqual(await first.bytes(), await second.bytes());
  assert.deepEqual([...first.headers], [...second.headers]);
  await upstream.close();
  assert.equal((await post(canary)).status, 502);
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.stdin.end();
  assert.equal(await ended, 0);
  const lines = text.trimEnd().split("\n");
  assert.match(lines[0] ?? "", /"event":"ready"/);
  assert.deepEqual(lines.slice(1), ['{"event":"failed","in":"answer"}']);
});
