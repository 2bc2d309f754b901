import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { encodeHex, sha256 } from "@sotto/base";
import { bundleSealed } from "@sotto/bundle";
import { ConfigError } from "@sotto/kit";
import {
  boot,
  configOf,
  digestOf,
  type Env,
  environmentOf,
  put,
  type Running,
  root,
} from "../../../tests/confidential-stage.ts";
import { writeBabbleModel } from "../../../tools/up/src/babble.ts";
import { loadConfig } from "../src/config.ts";

const folder = mkdtempSync(join(tmpdir(), "sotto-predictor-main-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const model = join(folder, "babble.gguf");
writeBabbleModel(model);
const digest = `sha256:${encodeHex(sha256(readFileSync(model)))}`;
const code = put(
  "llama-sealed.cjs",
  await bundleSealed({ root, entry: "services/predictor/src/sealed/llama-main.ts" }),
);
const llama = { kind: "llama", path: model, name: "babble", digest, threads: 1 };
const sealed = { sealed: digestOf(code), memoryMib: 4096 };

const run = async (given: object, env: Env = {}) => {
  const config = await configOf("predictor", { ...sealed, ...given });
  return boot("predictor", await environmentOf("predictor", config, { SOTTO_SEALED: code, ...env }));
};

test("starts with the measured model, and ends with its parent", async () => {
  const started = (await run({ engine: llama })) as Running; // when it does not, the next line says so
  assert.match(started.address ?? JSON.stringify(started), /^tcp:\/\/127\.0\.0\.1:\d+$/);
  const ended = new Promise((resolve) => started.process.once("exit", resolve));
  started.process.stdin?.end();
  assert.equal(await ended, 0);
  assert.equal(started.output(), "");
});

/** How the boot ended, and the code that its last line tells. */
const endOf = async (given: object, env: Env = {}): Promise<unknown[]> => {
  const ended = await run(given, env);
  assert.ok(!("address" in ended), "it must not listen");
  const { event, service, build: _build, ...line } = JSON.parse(ended.output);
  assert.deepEqual([event, service, line.exit], ["crashed", "predictor", ended.code]);
  return [ended.code, line.code];
};

test("another model than the measured one, or none, does not start", async () => {
  const other = join(folder, "other.gguf");
  const bytes = new Uint8Array(readFileSync(model));
  writeFileSync(other, bytes.with(bytes.length - 1, (bytes.at(-1) ?? 0) ^ 1));
  for (const path of [other, join(folder, "absent.gguf")]) {
    assert.deepEqual(await endOf({ engine: { ...llama, path } }), [70, "model-refused"]);
  }
});

test("a model server that cannot be reached at the start keeps the predictor from serving", async () => {
  const engine = { kind: "openai", url: "http://127.0.0.1:9/v1", model: "m" };
  assert.deepEqual(await endOf({ engine }), [70, undefined]);
});

test("code of the wrong engine does not come up", async () => {
  // Measured, and yet of no use: the process ends where it should be ready.
  const openai = await environmentOf("predictor", {});
  const sealedForServer = { SOTTO_SEALED: openai.SOTTO_SEALED ?? "" };
  const config = { engine: llama, sealed: digestOf(sealedForServer.SOTTO_SEALED) };
  assert.deepEqual(await endOf(config, sealedForServer), [70, "start-failed"]);
});

test("a configuration that is not wholly understood is refused", async () => {
  const load = async (given: object, env: Env = {}) => {
    const config = await configOf("predictor", { ...sealed, ...given });
    return loadConfig(await environmentOf("predictor", config, { SOTTO_SEALED: code, ...env }));
  };
  const server = { kind: "openai", url: "http://127.0.0.1:8000/v1", model: "m" };
  for (const url of [server.url, "http://localhost:1/v1", "http://[::1]:1/v1", "http://127.8.8.8/"]) {
    assert.deepEqual((await load({ engine: { ...server, url } })).measured.engine, { ...server, url });
  }
  assert.deepEqual((await load({ engine: llama })).measured.engine, llama);
  assert.equal((await load({ engine: server, role: "guard" })).measured.role, "guard");
  const refused: [string, object, Env?][] = [
    ["a server elsewhere", { engine: { ...server, url: "http://192.0.2.1/v1" } }],
    ["a server by a name", { engine: { ...server, url: "http://127.0.0.1.example.com/v1" } }],
    ["a server by a name that ends well", { engine: { ...server, url: "http://example.com#@127.0.0.1/v1" } }],
    ["a server with a password", { engine: { ...server, url: "http://u:p@127.0.0.1/v1" } }],
    ["a server over TLS, which nobody here speaks", { engine: { ...server, url: "https://127.0.0.1/v1" } }],
    ["another protocol", { engine: { ...server, url: "file:///v1" } }],
    ["an unknown engine", { engine: { kind: "pickle", path: model } }],
    ["a model without a digest", { engine: { ...llama, digest: "" } }],
    ["no threads", { engine: { ...llama, threads: 0 } }],
    ["no engine", { engine: undefined }],
    ["an unknown field", { engine: llama, debug: true }],
    ["another role", { engine: llama, role: "orchestrator" }],
    ["no process at all", { engine: llama, maximumProcesses: 0 }],
    ["none that is ready", { engine: llama, minimumReady: 0 }],
    ["no turn for anybody", { engine: llama, parallelAnswers: 0 }],
    ["no memory", { engine: llama, memoryMib: 0 }],
    ["a switch in between", { engine: llama, inference: "maybe" }],
    ["code without a digest", { engine: llama, sealed: "" }],
    ["no port", { engine: server }, { SOTTO_PORT: "" }],
    ["no file", { engine: server }, { SOTTO_CONFIG: join(folder, "absent") }],
    ["no json", { engine: server }, { SOTTO_CONFIG: put("null.json", "nul") }],
    ["null", { engine: server }, { SOTTO_CONFIG: put("null.json", "null") }],
  ];
  for (const [name, given, env] of refused) await assert.rejects(load(given, env), ConfigError, name);
  await assert.rejects(load({ engine: llama, sealed: digest }), { code: "not-as-measured" });
  await assert.rejects(load({ engine: llama }, { SOTTO_SEALED: join(folder, "absent") }), {
    code: "unreadable",
  });
});
