import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { encodeBase64, encodeHex } from "@sotto/base";
import { serializeAuthorization, serializeToken } from "@sotto/credentials";
import { type RunningServer, serve } from "@sotto/kit";
import {
  authorized,
  challenge,
  exchange,
  handle,
  innerRequest,
  issuerPair,
  makeToken,
  pairs,
  stream,
} from "./fixture.ts";

const entry = join(import.meta.dirname, "..", "src", "main.ts");
const canary = "canary-0815";

async function startGateway(node: RunningServer, folder: string) {
  const write = (name: string, value: unknown): string => {
    writeFileSync(join(folder, name), JSON.stringify(value));
    return join(folder, name);
  };
  const env = {
    SOTTO_PORT: "0",
    SOTTO_DATA: join(folder, "spent.sqlite"),
    SOTTO_NODES: write("nodes.json", { alpha: node.address }),
    SOTTO_KEYS: write(
      "keys.json",
      pairs.map(({ config, privateKey }) => ({
        keyId: config.keyId,
        kemId: config.kemId,
        publicKey: encodeBase64(config.publicKey),
        privateKey: encodeBase64(privateKey),
      })),
    ),
    SOTTO_ISSUERS: write("issuers.json", {
      name: challenge.issuerName,
      originInfo: challenge.originInfo,
      keys: [{ spki: encodeBase64(issuerPair.spki), notBefore: 0, notAfter: 4_000_000_000 }],
    }),
  };
  const child = spawn(process.execPath, [entry], { env, stdio: ["pipe", "pipe", "pipe"] });
  const output: string[] = [];
  const address = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output.push(text);
      if (text.includes("ready")) resolve(JSON.parse(text).address);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => output.push(text));
    child.once("exit", () => reject(new Error(output.join(""))));
  });
  const stop = (): Promise<number | null> =>
    new Promise((resolve) => {
      child.removeAllListeners("exit").once("close", resolve);
      child.stdin.end();
    });
  return { address, output, stop, child };
}

test("audit 5: the gateway's process prints and stores no byte of what passes through it, whatever goes wrong", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "sotto-gateway-"));
  const node = await serve({
    port: 0,
    handler: async (request) => {
      const body = await request.text();
      if (body.includes("break")) {
        const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
          controller.enqueue(new Uint8Array(10));
          await new Promise((resolve) => setTimeout(resolve, 20));
          controller.error(new Error(canary));
        };
        return new Response(new ReadableStream({ pull }), { headers: { "sotto-session": handle } });
      }
      return new Response(`${canary} answer`, { headers: { "sotto-session": handle, "x-canary": canary } });
    },
  });
  const { address, output, stop, child } = await startGateway(node, folder);
  context.after(() => child.kill());
  const send = async (request: Request): Promise<Response> => {
    const { pathname, search } = new URL(request.url);
    return fetch(new URL(pathname + search, address), {
      method: request.method,
      headers: { ...Object.fromEntries(request.headers), cookie: canary, "x-forwarded-for": "192.0.2.77" },
      body: request.method === "POST" ? await request.arrayBuffer() : null,
    });
  };
  const token = await makeToken();
  const content = new TextEncoder().encode(canary);
  assert.equal((await exchange(send, authorized(token, { content }))).status, 200);
  assert.equal((await exchange(send, authorized(token, { content }))).status, 401);
  assert.equal(
    (await exchange(send, innerRequest({ content, headers: [["authorization", canary]] }))).status,
    401,
  );
  assert.equal((await exchange(send, innerRequest({ content, path: `/sessions/${handle}` }))).status, 200);
  assert.equal((await exchange(send, innerRequest({ content, path: `/${canary}` }))).status, 404);
  const streamed = await stream(send, authorized(await makeToken(), { content }));
  assert.ok((await streamed.response.arrayBuffer()).byteLength > 100);
  const breaking = await stream(
    send,
    authorized(await makeToken(), { content: new TextEncoder().encode(`break ${canary}`) }),
  );
  await assert.rejects(breaking.response.arrayBuffer());
  for (const type of ["message/ohttp-req", "message/ohttp-chunked-req", canary]) {
    const refused = await send(
      new Request(`http://gateway.invalid/gateway?${canary}`, {
        method: "POST",
        headers: { "content-type": type },
        body: content,
      }),
    );
    assert.ok(refused.status >= 400);
    assert.ok(!(await refused.text()).includes(canary));
  }
  await send(new Request(`http://gateway.invalid/${canary}`));
  assert.equal(await stop(), 0);
  await node.close();

  const text = output.join("");
  assert.match(text, /"event":"redemption","outcome":"token-spent"/);
  assert.match(text, /"event":"failed","in":"answer"/);
  const secrets = [
    canary,
    handle,
    "192.0.2",
    "127.0.0.1:",
    serializeAuthorization(token).slice(20, 60),
    encodeHex(token.nonce),
  ];
  const printed = text.replace(/^\{"event":"ready".*\n/m, "");
  for (const secret of secrets) assert.ok(!printed.includes(secret), `printed ${secret}`);
  for (const name of readdirSync(folder).filter((file) => file.startsWith("spent"))) {
    const stored = readFileSync(join(folder, name));
    for (const secret of [canary, handle, "192.0.2", token.nonce, serializeToken(token).slice(100, 140)]) {
      assert.equal(stored.indexOf(secret), -1, name);
    }
  }
  // A second process over the same file still knows what was spent.
  const again = await startGateway(node, folder);
  context.after(() => again.child.kill());
  const post = async (request: Request): Promise<Response> =>
    fetch(new URL("/gateway", again.address), {
      method: "POST",
      headers: { "content-type": request.headers.get("content-type") ?? "" },
      body: await request.arrayBuffer(),
    });
  assert.match((await exchange(post, authorized(token))).text, /token-spent/);
  await again.stop();
  rmSync(folder, { recursive: true });
});

test("audit 23: a gateway whose configuration is damaged in any file never listens", async () => {
  const good = mkdtempSync(join(tmpdir(), "sotto-gateway-"));
  const node = await serve({ port: 0, handler: async () => new Response() });
  for (const name of ["keys.json", "issuers.json", "nodes.json"]) {
    const damage = async (change: (text: string) => string): Promise<void> => {
      const started = startGateway(node, good);
      // The files are written before the process begins to read them.
      writeFileSync(join(good, name), change(readFileSync(join(good, name), "utf8")));
      await assert.rejects(started, /crashed/);
    };
    await damage((text) => text.slice(0, -2));
    await damage((text) => text.replace(/"([a-z]+)":/i, '"x$1":').replace("http:", "file:"));
  }
  await node.close();
  rmSync(good, { recursive: true });
});
