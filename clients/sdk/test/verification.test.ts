// What is told of a verification: of nodes that were really judged, and of refusals.
import assert from "node:assert/strict";
import { test } from "node:test";
import { productionPolicy, type SandboxLayer, sandboxLayers, verifyNode } from "@sotto/attestation";
import {
  type NodeOptions,
  nowMs,
  policy,
  present,
  settings,
} from "../../../protocol/attestation/test/stage.ts";
import type { PrivateSession } from "../src/private-session.ts";
import { SottoError } from "../src/sotto-error.ts";
import { describeVerification } from "../src/verification.ts";

const clock = (): number => nowMs;
const without = (layer: SandboxLayer): SandboxLayer[] => sandboxLayers.filter((other) => other !== layer);

async function describe(options: NodeOptions) {
  const evidence = await present("orchestrator", options);
  let closed = 0;
  const node = await verifyNode({ ...evidence, policy, nowMs });
  // Only what a description reads; a whole session needs a whole stack.
  const opened = {
    node,
    handle: "node-1",
    session: { evidence, close: () => (closed += 1) },
    directory: { models: [{ id: "model" }], logged: node.logged },
  } as unknown as PrivateSession;
  const verification = await describeVerification(async () => opened, clock, policy);
  assert.equal(closed, 1);
  return verification;
}

test("a whole sandbox is not mentioned; a missing layer is, in the first line", async () => {
  const peers = [await present("predictor")];
  const whole = await describe({ peers });
  assert.equal(whole.overall, "simulated");
  assert.match(whole.summary, /^SIMULATED/);
  assert.doesNotMatch(whole.summary, /MISSING/);
  const own = await describe({ peers, layers: without("namespaces") });
  const other = await describe({
    peers: [...peers, await present("guard", { layers: without("limits") })],
  });
  for (const { overall, summary } of [own, other]) {
    assert.equal(overall, "simulated");
    assert.match(summary, /^SIMULATED .* Layers of the sandbox are MISSING/);
  }
  const details = other.checks.filter(({ id }) => id.endsWith("sandbox.layers")).map(({ status }) => status);
  assert.deepEqual(details, ["pass", "pass", "skip"]);
  assert.deepEqual(
    [whole, other].map(({ node }) => node?.peers.map(({ role, version }) => `${role} ${version}`)),
    [["predictor 1.0.0"], ["predictor 1.0.0", "guard 1.0.0"]],
  );
});

test("a refusal keeps its code and every check", async () => {
  const evidence = await present("orchestrator", { layers: without("permission") });
  const claim = { ...evidence, policy: productionPolicy(settings), nowMs };
  const refusal = async (): Promise<never> => {
    const cause = await verifyNode(claim).catch((error: unknown) => error);
    throw new SottoError("verification-failed", "the node was refused", { cause });
  };
  const verification = await describeVerification(refusal, clock, claim.policy);
  assert.equal(verification.overall, "refused");
  assert.equal(verification.code, "untrusted-root");
  const check = verification.checks.find(({ id }) => id === "sandbox.layers");
  assert.deepEqual([check?.status, check?.code], ["fail", "sandbox-incomplete"]);
});
