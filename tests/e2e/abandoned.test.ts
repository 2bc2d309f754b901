// Questions whose caller has left while their session came up, against a whole stack: the model never hears of them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createPrivateFetch, type PrivateFetch, parseClientSettings, privateBaseUrl } from "@sotto/sdk";
import { developmentPolicy } from "@sotto/sdk/development";
import { openModelServer } from "../canary/model-server.ts";
import { type Stack, startStack } from "./stack.ts";

const model = await openModelServer(() => ({ pieces: ["heard"] }));
const messages = [{ role: "user", content: "a question" }];
const question = { method: "POST", body: JSON.stringify({ model: "scripted", messages }) };
const url = `${privateBaseUrl}/chat/completions`;
let stack: Stack;

before(async () => {
  stack = await startStack({ args: ["--model", model.url] });
});
after(async () => {
  await stack?.stop();
  model.close();
});

/** A client whose exchanges with the relay wait for `release`; `reached` tells that the handshake is under way. */
function open() {
  const settings = parseClientSettings(readFileSync(join(stack.folder, "client.json"), "utf8"));
  const gate = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  const client = createPrivateFetch({
    relayUrl: settings.relay,
    issuerUrl: settings.issuer,
    account: settings.account,
    directoryKey: settings.directoryKey,
    policy: developmentPolicy(settings),
    prepareAhead: false,
    fetch: async (input, init) => {
      if (init?.method === "POST" && String(input).endsWith("/relay")) {
        reached.resolve();
        await gate.promise;
      }
      return fetch(input, init);
    },
  });
  return { client, reached: reached.promise, release: gate.resolve };
}

async function textOf(client: PrivateFetch): Promise<string> {
  const response = await client(url, question);
  return (await response.json()).choices[0].message.content;
}

test("a question whose caller leaves is not sent, and its session serves the next one", async () => {
  const { client, reached, release } = open();
  const leaving = new AbortController();
  const left = client(url, { ...question, signal: leaving.signal });
  await reached;
  leaving.abort();
  await assert.rejects(left, { name: "AbortError" });
  release();
  await client.prepare();
  const tokens = await client.tokensRemaining();
  assert.equal(model.asked(), 0);
  assert.equal(await textOf(client), "heard");
  assert.equal(await client.tokensRemaining(), tokens, "with the token that had been spent");
  assert.equal(model.asked(), 1);
  client.close();
});

test("a client that is closed while a session comes up sends nothing, and ends it", async () => {
  const asked = model.asked();
  const { client, reached, release } = open();
  const left = client(url, question);
  await reached;
  client.close();
  await assert.rejects(left, { code: "closed" });
  release();
  await assert.rejects(client(url, question), { code: "closed" });
  // Another client's whole question later it has had its time.
  const other = open();
  other.release();
  assert.equal(await textOf(other.client), "heard");
  other.client.close();
  assert.equal(model.asked(), asked + 1);
});
