import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  createPrivateFetch,
  MemoryTokenStore,
  type PrivateFetch,
  parseClientSettings,
  verdictOf,
} from "@sotto/sdk";
import { developmentPolicy } from "@sotto/sdk/development";
import OpenAI from "openai";
import { type Stack, sotto, startStack } from "./stack.ts";

// Babble is cut where its random words read like something that must not be said; that is an answer too.
const endings = ["stop", "length", "content_filter"];
let stack: Stack;
let privateFetch: PrivateFetch;

before(async () => {
  stack = await startStack();
  const settings = parseClientSettings(readFileSync(join(stack.folder, "client.json"), "utf8"));
  privateFetch = createPrivateFetch({
    relayUrl: settings.relay,
    issuerUrl: settings.issuer,
    account: settings.account,
    directoryKey: settings.directoryKey,
    policy: developmentPolicy(settings),
    tokens: new MemoryTokenStore(),
  });
});

after(async () => {
  privateFetch.close();
  assert.equal(await stack.stop(), 0, "ctrl-c ends the stack with exit code 0");
});

test("stack.json names role, pid and address of every process", () => {
  const roles = stack.parts.map(({ role }) => role);
  const wanted = [
    "log",
    "witness-1",
    "witness-2",
    "issuer",
    "relay",
    "gateway",
    "orchestrator",
    "predictor",
    "proxy",
  ];
  for (const role of wanted) assert.ok(roles.includes(role), role);
  assert.equal(
    new Set(stack.parts.map(({ pid }) => pid)).size,
    stack.parts.length,
    "each is its own process",
  );
  for (const { pid } of stack.parts) process.kill(pid, 0);
});

test("sotto chat streams an answer and exits 0", async () => {
  const result = await sotto(stack, ["chat", "Say", "something"]);
  assert.equal(result.code, 0, result.stderr);
  assert.ok(result.stdout.trim().length > 0);
});

test("the openai package streams through createPrivateFetch, unmodified", async () => {
  const openai = new OpenAI({ apiKey: "unused", baseURL: privateFetch.baseUrl, fetch: privateFetch });
  const stream = await openai.chat.completions.create({
    model: "default",
    stream: true,
    max_tokens: 24,
    messages: [{ role: "user", content: "Hello" }],
  });
  let text = "";
  let finish: string | null = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    finish = chunk.choices[0]?.finish_reason ?? finish;
  }
  assert.ok(text.length > 0);
  assert.ok(finish !== null && endings.includes(finish), String(finish));
  const whole = await openai.chat.completions.create({
    model: "default",
    max_tokens: 8,
    messages: [{ role: "user", content: "Hello" }],
  });
  assert.ok((whole.usage?.completion_tokens ?? 0) > 0);
  const models = await openai.models.list();
  assert.equal(models.data.length, 1);
});

test("the openai package streams through the local endpoint", async () => {
  const openai = new OpenAI({ apiKey: "unused", baseURL: `${stack.endpoint}/v1` });
  const stream = await openai.chat.completions.create({
    model: "default",
    stream: true,
    max_tokens: 24,
    messages: [{ role: "user", content: "Hello" }],
  });
  let chunks = 0;
  for await (const _chunk of stream) chunks += 1;
  assert.ok(chunks > 2, "the answer came in pieces");
});

test("curl -N streams through the local endpoint", async () => {
  const body = JSON.stringify({
    model: "default",
    stream: true,
    messages: [{ role: "user", content: "Hello" }],
  });
  const child = spawn("curl", [
    "-sSN",
    `${stack.endpoint}/v1/chat/completions`,
    "-H",
    "content-type: application/json",
    "-d",
    body,
  ]);
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.equal(code, 0);
  assert.match(output, /^data: \{/);
  assert.match(output, /data: \[DONE\]\n\n$/);
});

test("a response knows the verdict under which it was given", async () => {
  const response = await privateFetch(`${privateFetch.baseUrl}/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model: "default", max_tokens: 4, messages: [{ role: "user", content: "Hello" }] }),
  });
  await response.text();
  assert.equal(verdictOf(response)?.overall, "simulated");
});

test("sotto verify --json lists every check; simulated passes the development policy only", async () => {
  const development = await sotto(stack, ["verify", "--json"]);
  assert.equal(development.code, 0, development.stderr);
  const verification = JSON.parse(development.stdout);
  assert.equal(verification.overall, "simulated");
  assert.ok(verification.checks.length > 10);
  for (const check of verification.checks) {
    assert.ok(check.id !== "" && check.source !== "" && check.detail !== "", JSON.stringify(check));
    assert.ok(["pass", "fail", "skip"].includes(check.status));
  }
  const ids: string[] = verification.checks.map(({ id }: { id: string }) => id);
  for (const id of [
    "snp.chain",
    "snp.signature",
    "binding.report-data",
    "release.logged",
    "release.measurement",
  ]) {
    assert.ok(ids.includes(id), id);
  }
  assert.ok(
    ids.some((id) => id.startsWith("peers.0.")),
    "the predictor is judged too",
  );
  const production = await sotto(stack, ["verify", "--json", "--policy", "production"]);
  assert.equal(production.code, 10);
  const refused = JSON.parse(production.stdout);
  assert.equal(refused.overall, "refused");
  assert.ok(refused.checks.some(({ status }: { status: string }) => status === "fail"));
});

test("under the production policy a question is not sent", async () => {
  const result = await sotto(stack, ["chat", "--policy", "production", "Hello"]);
  assert.equal(result.code, 10);
  assert.equal(result.stdout, "");
  assert.match(result.stderr, /nothing was sent/);
});

test("images, audio and files are refused on the device, with a stable code", async () => {
  const parts = [
    { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
    { type: "input_audio", input_audio: { data: "AAAA", format: "wav" } },
    { type: "file", file: { file_data: "AAAA" } },
  ];
  for (const part of parts) {
    for (const send of [privateFetch, fetch]) {
      const base = send === fetch ? `${stack.endpoint}/v1` : privateFetch.baseUrl;
      const response = await send(`${base}/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "default", messages: [{ role: "user", content: [part] }] }),
      });
      assert.equal(response.status, 400);
      const body: { error: { code: string } } = JSON.parse(await response.text());
      assert.equal(body.error.code, "text-only");
    }
  }
});

test("the local endpoint refuses other hosts, other origins and other content types", async () => {
  const url = `${stack.endpoint}/v1/chat/completions`;
  const body = JSON.stringify({ model: "default", messages: [{ role: "user", content: "Hello" }] });
  const json = { "content-type": "application/json" };
  const { request } = await import("node:http");
  const statusWithHost = await new Promise((resolve) => {
    const { hostname, port } = new URL(url);
    request({ hostname, port, path: "/v1/models", headers: { host: "evil.example" } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).end();
  });
  assert.equal(statusWithHost, 421);
  const foreign = await fetch(url, {
    method: "POST",
    headers: { ...json, origin: "https://evil.example" },
    body,
  });
  assert.equal(foreign.status, 403);
  const form = await fetch(url, { method: "POST", headers: { "content-type": "text/plain" }, body });
  assert.equal(form.status, 415);
  const verification = await fetch(`${stack.endpoint}/verification`);
  assert.equal(verification.headers.get("cache-control"), "no-store");
  assert.equal(JSON.parse(await verification.text()).overall, "simulated");
});

test("an aborted question ends at once, and the next one works", async () => {
  const abort = new AbortController();
  const response = await privateFetch(`${privateFetch.baseUrl}/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model: "default", stream: true, messages: [{ role: "user", content: "Hello" }] }),
    signal: abort.signal,
  });
  const reader = response.body?.getReader();
  await reader?.read();
  abort.abort();
  await assert.rejects(async () => {
    for (;;) {
      const next = await reader?.read();
      if (next === undefined || next.done) throw new Error("ended without an error");
    }
  });
  const next = await privateFetch(`${privateFetch.baseUrl}/models`);
  assert.equal(next.status, 200);
});

test("a part that dies is named, and the rest ends with it", async () => {
  const other = await startStack();
  const gateway = other.parts.find(({ role }) => role === "gateway");
  assert.ok(gateway !== undefined);
  let output = "";
  other.process.stdout?.on("data", (text: Buffer) => {
    output += text.toString("utf8");
  });
  const ended = new Promise<number | null>((resolve) => other.process.once("exit", resolve));
  process.kill(gateway.pid, "SIGKILL");
  assert.equal(await ended, 1);
  assert.match(output, /gateway/);
  for (const { pid } of other.parts) assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
  assert.ok(!existsSync(join(other.folder, "stack.json")));
});
