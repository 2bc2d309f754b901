// What web pages are let do, on the wire: exactly what the table says, in the same bytes for every one of them.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type PageAccess, problem, type RunningServer, type ServeOptions, serve } from "@sotto/kit";

const running: RunningServer[] = [];
after(() => Promise.all(running.map((server) => server.close())));

const pages: PageAccess = {
  "/take": { methods: ["POST"], headers: ["authorization", "content-type"] },
  "/give": { methods: ["GET"], headers: [] },
};

async function start(handler: ServeOptions["handler"], options: Partial<ServeOptions> = {}) {
  const server = await serve({ handler, port: 0, pages, ...options });
  running.push(server);
  return (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(new URL(path, server.address), init);
}

const granted = (response: Response): Record<string, string> =>
  Object.fromEntries([...response.headers].filter(([name]) => /^access-control|^vary$/.test(name)));

test("a browser that asks first is told the table, whoever it asks for and whatever it names", async () => {
  let handled = 0;
  const ask = await start(async () => {
    handled += 1;
    return new Response("never");
  });
  const take = {
    "access-control-allow-headers": "authorization, content-type",
    "access-control-allow-methods": "POST",
    "access-control-allow-origin": "*",
    "access-control-max-age": "86400",
  };
  const asked: Record<string, string>[] = [
    {},
    { origin: "https://app.example", "access-control-request-method": "POST" },
    { origin: "null", "access-control-request-method": "DELETE", "access-control-request-headers": "x-any" },
    { origin: "https://app.example", cookie: "a=b", "access-control-request-private-network": "true" },
  ];
  for (const headers of asked) {
    const response = await ask("/take?query", { method: "OPTIONS", headers });
    assert.equal(response.status, 204);
    assert.deepEqual(granted(response), take);
    assert.equal(await response.text(), "");
  }
  const { "access-control-allow-headers": _none, ...rest } = take;
  assert.deepEqual(granted(await ask("/give", { method: "OPTIONS" })), {
    ...rest,
    "access-control-allow-methods": "GET",
  });
  assert.equal(handled, 0);
});

test("every answer on an open path may be read, a refusal and a failure too; on other paths none", async () => {
  const ask = await start(
    async (request) => {
      const { pathname } = new URL(request.url);
      if (pathname === "/give") throw new Error("broken");
      return request.method === "POST" ? new Response("taken") : problem(405, "method-not-allowed");
    },
    { maxBodyBytes: 10, onFailure: () => {} },
  );
  const open = { "access-control-allow-origin": "*" };
  const answers: [Promise<Response>, number, Record<string, string>][] = [
    [ask("/take", { method: "POST", body: "x", headers: { origin: "https://app.example" } }), 200, open],
    [ask("/take", { method: "POST", body: "far too much" }), 413, open],
    [ask("/take"), 405, open],
    [ask("/give"), 500, open],
    [ask("/other", { method: "POST", body: "x" }), 200, {}],
    [ask("/take/", { method: "POST", body: "x" }), 200, {}],
    [ask("/constructor", { method: "OPTIONS" }), 405, {}],
    [ask("/other", { method: "OPTIONS" }), 405, {}],
  ];
  for (const [answer, status, headers] of answers) {
    const response = await answer;
    assert.equal(response.status, status);
    assert.deepEqual(granted(response), headers, response.url);
    await response.text();
  }
});

test("a server that is full says so to a page", async () => {
  const [entered, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const ask = await start(
    async () => {
      entered.resolve();
      await held.promise;
      return new Response("late");
    },
    { maxInFlight: 1 },
  );
  const first = ask("/take", { method: "POST", body: "x" });
  await entered.promise;
  assert.equal((await ask("/take", { method: "OPTIONS" })).status, 204);
  const second = await ask("/take", { method: "POST", body: "x" });
  assert.equal(second.status, 503);
  assert.deepEqual(granted(second), { "access-control-allow-origin": "*" });
  held.resolve();
  assert.equal(await (await first).text(), "late");
});

test("without a table nothing is open", async () => {
  const ask = await start(async () => problem(405, "method-not-allowed"), { pages: {} });
  const response = await ask("/take", { method: "OPTIONS" });
  assert.equal(response.status, 405);
  assert.deepEqual(granted(response), {});
});
