// Keys that went stale, in a real Chromium, which keeps what it is given: a deployment with real keys and no node.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type PageAccess, serve } from "@sotto/kit";
import { serializeVerifier } from "@sotto/log";
import {
  authority,
  createWorld,
  gatewayPairs,
  makeDirectory,
  trust,
} from "../../clients/sdk/test/deployment.ts";
import { launchChromium } from "./chromium.ts";
import { visit } from "./visit.ts";

const browser = await launchChromium();
const skip = browser === undefined && "no browser can be started here";
after(() => browser?.close());

const pages: PageAccess = {
  "/directory": { methods: ["GET"], headers: [] },
  "/relay": { methods: ["POST"], headers: ["content-type"] },
  "/tokens": { methods: ["POST"], headers: ["authorization", "content-type"] },
};

test("a request key that is stale is asked for once more, past whatever the browser keeps", {
  skip,
}, async () => {
  const [, second] = gatewayPairs;
  assert.ok(second);
  const { world, fetch } = await createWorld();
  const handler = async ({ method, url, headers, body }: Request): Promise<Response> =>
    fetch(url, { method, headers: [...headers], ...(body === null ? {} : { body, duplex: "half" }) });
  const server = await serve({ port: 0, handler, pages });
  const settings = {
    relay: server.address,
    issuer: server.address,
    account: { secret: "0123456789abcdef" },
    directoryKey: serializeVerifier(authority),
    trust,
  };
  // Browsers say it of every answer whose status is one of an error.
  const expected = /^console: Failed to load resource: .* 401 \(Unauthorized\)/;
  try {
    await visit(browser, { settings, expected }, async ({ tab }) => {
      world.keys = [second];
      const stale = await tab({ question: "Hello" });
      assert.deepEqual([stale.error?.code, stale.error?.advice], ["stale-key", "retry"]);
      assert.deepEqual(world.asked, ["/directory", "/tokens", "/relay", "/directory", "/relay"]);
      assert.deepEqual(world.inner, [], "nobody could open what was sent");
      world.directory = await makeDirectory(second);
      world.asked.length = 0;
      const lost = await tab({ question: "Hello" });
      assert.equal(lost.error?.code, "session-lost", "no node is there");
      assert.deepEqual(world.asked, ["/directory", "/tokens", "/relay"]);
      assert.equal(world.inner.length, 1);
    });
  } finally {
    await server.close();
  }
});
