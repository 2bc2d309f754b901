import assert from "node:assert/strict";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type SandboxLayer, serializeSandboxLayers } from "@sotto/attestation";
import { bundleSealed } from "@sotto/bundle";
import { classifierUrl, policyUrl } from "@sotto/guard";
import { ConfigError } from "@sotto/kit";
import { findSandboxTools } from "@sotto/sealed";
import {
  boot,
  type ConfidentialRole,
  configOf,
  digestOf,
  type Env,
  environmentOf,
  put,
  root,
  startModelServer,
  trust,
} from "../../../tests/confidential-stage.ts";
import { loadConfig } from "../src/config.ts";

const roles = ["orchestrator", "predictor"] as const;
const hasTools = Object.values(findSandboxTools()).every((tool) => tool !== undefined);
let engine: object;

before(async () => {
  engine = { kind: "openai", url: (await startModelServer()).url, model: "toy" };
});

const untilAlone = 'process.stdin.on("end", () => process.exit()).resume();';

/** Measured code that says that it is ready in these layers, and then nothing. */
function putStub(inside: readonly SandboxLayer[]): string {
  const layers = [...serializeSandboxLayers(inside)];
  const message = JSON.stringify([7, 0, 0, 2, ...layers, 8, 0, 0, 1, 0]);
  return put(
    `stub-${layers.join("-")}.cjs`,
    `process.stdout.write(Uint8Array.from(${message})); ${untilAlone}`,
  );
}

const run = async (role: ConfidentialRole, code: string, entry: string, given: object = {}) => {
  const config = await configOf(role, {
    sealed: digestOf(code),
    ...(role === "predictor" ? { engine } : {}),
    ...given,
  });
  return boot(role, await environmentOf(role, config, { SOTTO_SEALED: code }), { entry });
};

test("in production a service starts in a whole sandbox only; in development a missing layer is told, not hidden", async () => {
  const inside: readonly SandboxLayer[] = ["environment", "permission", "code"];
  for (const role of roles) {
    for (const missing of role === "orchestrator" ? inside : inside.slice(2)) {
      const code = putStub(inside.filter((layer) => layer !== missing));
      const ended = await run(role, code, "src/main.ts");
      assert.ok(!("address" in ended), `${role} listens without ${missing}`);
      assert.equal(ended.code, 70);
      assert.equal(JSON.parse(ended.output).code, "sandbox-incomplete");
    }
    const started = await run(role, putStub([]), "src/main.development.ts");
    assert.ok("address" in started, JSON.stringify(started));
    assert.equal(await started.stop(), 0);
  }
});

test("the production services start where every layer holds", {
  skip: hasTools ? false : "the machine has not all programs that make the sandbox",
}, async () => {
  for (const [role, entry] of [
    ["orchestrator", "services/orchestrator/src/sealed/main.ts"],
    ["predictor", "services/predictor/src/sealed/openai-main.ts"],
  ] as const) {
    const code = put(`production-${role}.cjs`, await bundleSealed({ root, entry }));
    const started = await run(role, code, "src/main.ts");
    assert.ok("address" in started, JSON.stringify(started));
    assert.equal(await started.stop(), 0);
    const platform = { ...trust.platform, minimumTcb: {} };
    const ended = await run(role, code, "src/main.ts", { trust: { ...trust, platform } });
    assert.ok(!("address" in ended), "no production without a floor of patch levels");
    assert.equal(ended.code, 70);
  }
});

test("a process that never becomes ready, or says something else, keeps the service from serving", async () => {
  const wrong: readonly [string, string][] = [
    ["ends at once", "process.exit(0)"],
    ["fails to load", "throw new Error('canary')"],
    ["says what is no message", `process.stdout.write('canary'); ${untilAlone}`],
    [
      "is ready in unknown layers",
      `process.stdout.write(Uint8Array.of(7, 0, 0, 2, 255, 255, 8, 0, 0, 1, 0)); ${untilAlone}`,
    ],
    [
      "meets an unknown obstacle",
      `process.stdout.write(Uint8Array.of(7, 0, 0, 2, 0, 0, 8, 0, 0, 1, 99)); ${untilAlone}`,
    ],
    ["is ready and was never locked", `process.stdout.write(Uint8Array.of(8, 0, 0, 1, 0)); ${untilAlone}`],
  ];
  for (const [index, [name, program]] of wrong.entries()) {
    const code = put(`wrong-${index}.cjs`, program);
    const ended = await run(roles[index % 2] ?? "predictor", code, "src/main.development.ts");
    assert.ok(!("address" in ended), name);
    assert.equal(ended.code, 70, name);
    assert.equal(JSON.parse(ended.output).code, "start-failed", name);
    assert.ok(!ended.output.includes("canary"), name);
  }
});

test("a configuration that is not wholly understood is refused", async () => {
  const load = async (given: object, env: Env = {}) =>
    loadConfig(await environmentOf("orchestrator", await configOf("orchestrator", given), env));
  const { predictors, measured, port } = await load(
    {},
    { SOTTO_PREDICTORS: "127.0.0.1:1,node-2.internal:65535" },
  );
  assert.deepEqual(predictors, [
    { host: "127.0.0.1", port: 1 },
    { host: "node-2.internal", port: 65535 },
  ]);
  assert.deepEqual([port, measured.inference, measured.trust], [0, "on", trust]);
  const refused: [string, object, Env?][] = [
    ["an unknown field", { debug: true }],
    ["another role", { role: "predictor" }],
    ["no trust", { trust: undefined }],
    ["trust without a log", { trust: { ...trust, log: "" } }],
    ["no guard", { guard: undefined }],
    ["a guard without a digest", { guard: { policy: "sha256:", classifier: "" } }],
    ["no process at all", { maximumProcesses: 0 }],
    ["none that is ready", { minimumReady: 0 }],
    ["a switch in between", { inference: "maybe" }],
    ["code without a digest", { sealed: "" }],
    ["no predictor", {}, { SOTTO_PREDICTORS: "" }],
    ["a predictor that is a URL", {}, { SOTTO_PREDICTORS: "http://127.0.0.1:1" }],
    ["a predictor without a port", {}, { SOTTO_PREDICTORS: "127.0.0.1" }],
    ["a port that is none", {}, { SOTTO_PORT: "x" }],
    ["no file", {}, { SOTTO_CONFIG: "/absent" }],
  ];
  for (const [name, given, env] of refused) await assert.rejects(load(given, env), ConfigError, name);
});

test("a guard model and the addresses of its nodes go together: one without the other does not start", async () => {
  const guard = {
    policy: digestOf(fileURLToPath(policyUrl)),
    classifier: digestOf(fileURLToPath(classifierUrl)),
  };
  const load = async (model: unknown, env: Env = {}) => {
    const given = model === undefined ? { guard } : { guard: { ...guard, model } };
    return loadConfig(await environmentOf("orchestrator", await configOf("orchestrator", given), env));
  };
  const model = { timeoutMs: 20_000 };
  const { guards, measured } = await load(model, { SOTTO_GUARDS: "127.0.0.1:1,guard-2.internal:65535" });
  assert.deepEqual(guards, [
    { host: "127.0.0.1", port: 1 },
    { host: "guard-2.internal", port: 65535 },
  ]);
  assert.deepEqual(measured.guard.model, model);
  assert.equal((await load(undefined)).guards, undefined);
  const nodes = { SOTTO_GUARDS: "127.0.0.1:1" };
  const refused: [string, unknown, Env?][] = [
    ["a guard model without a node", model],
    ["a node without a guard model", undefined, nodes],
    ["nodes that are none", model, { SOTTO_GUARDS: "" }],
    ["a node that is a URL", model, { SOTTO_GUARDS: "http://127.0.0.1:1" }],
    ["a node without a port", model, { SOTTO_GUARDS: "127.0.0.1" }],
    ["a node with a comma after it", model, { SOTTO_GUARDS: "127.0.0.1:1," }],
    ["no time to judge", { timeoutMs: 99 }, nodes],
    ["more than a minute", { timeoutMs: 60_001 }, nodes],
    ["time that is a part of a millisecond", { timeoutMs: 100.5 }, nodes],
    ["time without a number", {}, nodes],
    ["an unknown field", { ...model, optional: true }, nodes],
    ["a switch", true, nodes],
    ["null", null, nodes],
  ];
  for (const [name, given, env] of refused) await assert.rejects(load(given, env), ConfigError, name);
});
