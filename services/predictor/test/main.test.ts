import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { encodeHex, sha256 } from "@sotto/base";
import { ConfigError } from "@sotto/kit";
import { writeBabbleModel } from "../../../tools/up/src/babble.ts";
import { loadConfig } from "../src/config.ts";

const folder = mkdtempSync(join(tmpdir(), "sotto-predictor-main-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const model = join(folder, "babble.gguf");
writeBabbleModel(model);
const digest = `sha256:${encodeHex(sha256(readFileSync(model)))}`;

type Outcome = { readonly code: number | null; readonly ready: boolean; readonly log: string };

const environment = (measured: unknown, env: Record<string, string>): Record<string, string> => {
  const config = join(folder, "config.json");
  writeFileSync(config, JSON.stringify(measured));
  const release = join(folder, "release.json");
  return { SOTTO_PORT: "0", SOTTO_TSM: folder, SOTTO_CONFIG: config, SOTTO_RELEASE: release, ...env };
};

/** Runs the process until it is ready, and then ends it, or until it ends itself. */
const run = (measured: unknown, env: Record<string, string> = {}): Promise<Outcome> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, "../src/main.ts")], {
    env: { PATH: process.env.PATH ?? "", ...environment(measured, env) },
  });
  let log = "";
  let ready = false;
  child.stderr.on("data", (data) => {
    log += data;
  });
  child.stdout.on("data", (data) => {
    const line: { event: string; address: string } = JSON.parse(String(data));
    assert.equal(line.event, "ready");
    assert.match(line.address, /^tcp:\/\/127\.0\.0\.1:\d+$/);
    ready = true;
    child.stdin.end();
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, ready, log })));
};

const llama = { kind: "llama", path: model, name: "babble", digest };
const measured = (engine: object, rest: object = {}): object => ({
  role: "predictor",
  engine,
  maxSessions: 4,
  ...rest,
});

test("starts with the measured model, and ends with its parent", async () => {
  assert.deepEqual(await run(measured(llama)), { code: 0, ready: true, log: "" });
});

test("another model than the measured one does not start", async () => {
  const outcome = await run(measured({ ...llama, digest: `sha256:${"0".repeat(64)}` }));
  assert.deepEqual([outcome.code, outcome.ready], [70, false]);
  assert.equal(JSON.parse(outcome.log).code, "model-refused");
});

test("an unknown variable stops the boot", async () => {
  const outcome = await run(measured(llama), { SOTTO_DEBUG: "1" });
  assert.deepEqual([outcome.code, outcome.ready], [78, false]);
});

test("a configuration that is not wholly understood is refused", () => {
  const load = (value: unknown, env: Record<string, string> = {}) => loadConfig(environment(value, env));
  const server = { kind: "openai", url: "http://127.0.0.1:8000/v1", model: "m" };
  for (const url of [server.url, "http://localhost:1/v1", "http://[::1]:1/v1", "https://127.8.8.8/"]) {
    assert.deepEqual(load(measured({ ...server, url })).measured.engine, { ...server, url });
  }
  assert.deepEqual(load(measured(llama)).measured.engine, { ...llama, threads: 1 });
  const refused: [string, unknown, Record<string, string>?][] = [
    ["a server elsewhere", measured({ ...server, url: "http://192.0.2.1/v1" })],
    ["a server by a name", measured({ ...server, url: "http://127.0.0.1.example.com/v1" })],
    ["a server by a name that ends well", measured({ ...server, url: "http://example.com#@127.0.0.1/v1" })],
    ["a server with a password", measured({ ...server, url: "http://u:p@127.0.0.1/v1" })],
    ["another protocol", measured({ ...server, url: "file:///v1" })],
    ["an unknown engine", measured({ kind: "pickle", path: model })],
    ["a model without a digest", measured({ ...llama, digest: "" })],
    ["no threads", measured({ ...llama, threads: 0 })],
    ["an unknown field", measured(llama, { debug: true })],
    ["another role", measured(llama, { role: "orchestrator" })],
    ["no configuration", null],
    ["no port", measured(server), { SOTTO_PORT: "" }],
    ["no file", measured(server), { SOTTO_CONFIG: join(folder, "absent") }],
  ];
  for (const [name, value, env] of refused) assert.throws(() => load(value, env), ConfigError, name);
});
