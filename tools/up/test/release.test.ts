// What a stack says about itself: a policy is published and named where the measured image holds it, and nowhere else.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { encodeHex, sha256, systemRandom } from "@sotto/base";
import { parseStatement } from "@sotto/log";
import type { ServiceMeasurement } from "@sotto/tee";
import { makeStatements } from "../src/release.ts";

const path = "protocol/guard/policy/policy.json";
const file = join(import.meta.dirname, "../../..", path);
const digestOf = (bytes: Uint8Array) => `sha256:${encodeHex(sha256(bytes))}` as const;

const measured = (files: ServiceMeasurement["files"]): ServiceMeasurement => {
  const digest = digestOf(systemRandom(8));
  return { measurement: encodeHex(systemRandom(48)), files, code: digest, config: digest, weights: [] };
};
const secrets = {
  keyConfigs: systemRandom(8),
  issuerKeys: [{ spki: "AAAA", notBefore: 0, notAfter: 1 }],
};
const model = { id: "model", babbles: false, engine: {} };
const state = (files: ServiceMeasurement["files"], others: ServiceMeasurement["files"] = []) => {
  const services = { orchestrator: measured(files), predictor: measured(others) };
  const statements = makeStatements(secrets, services, { model });
  const policies = (["orchestrator", "predictor"] as const).map((role) => {
    const release = parseStatement(statements[role]);
    return release.kind === "release" ? release.policies : undefined;
  });
  return { policies, policy: statements.policy };
};

test("an orchestrator whose image holds no policy claims none", () => {
  const other = { path: `other/${path}`, size: 1, digest: digestOf(new Uint8Array(1)) };
  const elsewhere = { ...other, path };
  for (const said of [state([]), state([other]), state([], [elsewhere])]) {
    assert.deepEqual(said.policies, [[], []]);
    assert.equal(said.policy, undefined);
  }
});

test("the policy in the image is published with its version, and named by its digest", {
  skip: !existsSync(file),
}, () => {
  const bytes = new Uint8Array(readFileSync(file));
  const digest = digestOf(bytes);
  const { policies, policy } = state([{ path, size: bytes.length, digest }]);
  assert.deepEqual(policies, [[digest], []]);
  assert.ok(policy);
  const statement = parseStatement(policy);
  assert.ok(statement.kind === "policy");
  assert.deepEqual(statement.files, [{ path, size: bytes.length, digest }]);
  assert.match(statement.version, /^\d+$/);
});
