// The layers of the sandbox: how they travel, that the report vouches for them, and that none may be missing.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  appraiseNode,
  boundParts,
  type Check,
  checkIds,
  concludeVerdict,
  type NodeClaim,
  parseEvidenceBundle,
  parseSandboxLayers,
  productionPolicy,
  type SandboxLayer,
  sandboxLayers,
  sandboxWords,
  serializeEvidenceBundle,
  serializeSandboxLayers,
  sessionLeaf,
  type TrustPolicy,
  verifyNode,
} from "@sotto/attestation";
import type { Bytes } from "@sotto/base";
import { type NodeOptions, nowMs, patched, policy, present, refuses, settings } from "./stage.ts";

const u16 = (bits: number): Bytes => Uint8Array.of(bits >> 8, bits & 0xff);
const without = (...missing: readonly SandboxLayer[]): SandboxLayer[] =>
  sandboxLayers.filter((layer) => !missing.includes(layer));
const subsetOf = (bits: number): SandboxLayer[] => sandboxLayers.filter((_, bit) => (bits >> bit) & 1);

async function claimOf(options: NodeOptions = {}): Promise<NodeClaim> {
  return { ...(await present("orchestrator", options)), policy, nowMs };
}

/** Where the two bytes stand in a bundle without GPUs. */
function placeOf({ bundle }: Pick<NodeClaim, "bundle">): number {
  return serializeEvidenceBundle(bundle).length - boundParts(bundle).peers.length - 3 - 3 - 2;
}

async function sandboxChecks(claim: NodeClaim): Promise<Map<string, Check>> {
  const { verdict } = await appraiseNode(claim);
  return new Map(
    verdict.checks.filter(({ id }) => id.endsWith("sandbox.layers")).map((one) => [one.id, one]),
  );
}

test("every bit is the layer that the specification says", () => {
  const bits: readonly [SandboxLayer, number][] = [
    ["environment", 0x01],
    ["permission", 0x02],
    ["code", 0x04],
    ["core-dumps", 0x08],
    ["privileges", 0x10],
    ["namespaces", 0x20],
    ["limits", 0x40],
  ];
  assert.deepEqual(
    bits.map(([layer]) => layer),
    sandboxLayers,
  );
  const specification = readFileSync(join(import.meta.dirname, "../../../spec/attested-session.md"), "utf8");
  for (const [index, [layer, bit]] of bits.entries()) {
    assert.deepEqual(serializeSandboxLayers([layer]), u16(bit));
    assert.deepEqual(parseSandboxLayers(u16(bit)), [layer]);
    assert.ok(specification.includes(`| ${index} | \`${layer}\` | ${sandboxWords[layer].present} |`), layer);
  }
});

test("all values of sixteen bits: each set of layers has one, and the rest are refused", async () => {
  for (let bits = 0; bits <= 0xffff; bits += 1) {
    if (bits < 0x80) {
      const layers = parseSandboxLayers(u16(bits));
      assert.deepEqual(layers, subsetOf(bits));
      assert.deepEqual(serializeSandboxLayers(layers), u16(bits));
    } else
      assert.throws(() => parseSandboxLayers(u16(bits)), {
        name: "AttestationError",
        code: "malformed",
      });
  }
  for (const length of [0, 1, 3, 4])
    await refuses(() => parseSandboxLayers(new Uint8Array(length)), "malformed");
});

test("layers out of order, twice or of another name are not written", async () => {
  // @ts-expect-error: no such layer
  const unknown: SandboxLayer = "seccomp";
  const bad: readonly (readonly SandboxLayer[])[] = [
    [...sandboxLayers].reverse(),
    ["permission", "environment"],
    ["environment", "environment"],
    [...sandboxLayers, "limits"],
    [...sandboxLayers, unknown],
    [unknown],
  ];
  const { bundle } = await claimOf();
  for (const layers of bad) {
    await refuses(() => serializeSandboxLayers(layers), "malformed");
    await refuses(() => boundParts({ ...bundle, layers }), "malformed");
    await refuses(() => serializeEvidenceBundle({ ...bundle, layers }), "malformed");
  }
});

test("they stand behind the proof and before the GPUs, and no other bits are read", async () => {
  const peer = await present("predictor", { layers: without("limits") });
  const claim = await claimOf({ layers: without("environment", "code"), peers: [peer] });
  const good = serializeEvidenceBundle(claim.bundle);
  const place = placeOf(claim);
  const { proof } = claim.bundle;
  assert.deepEqual(good.slice(place - proof.length, place), proof);
  assert.deepEqual(good.slice(place, place + 5), Uint8Array.of(0, 0b1111010, 0, 0, 0));
  const innerPlace = good.length - serializeEvidenceBundle(peer.bundle).length + placeOf(peer);
  assert.deepEqual(good.slice(innerPlace, innerPlace + 2), Uint8Array.of(0, 0b0111111));
  for (const start of [place, innerPlace]) {
    for (let bits = 0; bits < 16; bits += 1) {
      const changed = patched(good, start, ...u16(1 << bits));
      if (bits >= sandboxLayers.length) await refuses(() => parseEvidenceBundle(changed), "malformed");
      else assert.deepEqual(serializeEvidenceBundle(parseEvidenceBundle(changed)), changed);
    }
  }
});

test("layers that were changed after the report was made are refused, whichever bit it is", async () => {
  const peers = [await present("predictor", { layers: without("namespaces") })];
  const claim = await claimOf({ layers: without("namespaces"), peers, batch: { index: 1, size: 3 } });
  await verifyNode(claim);
  const good = serializeEvidenceBundle(claim.bundle);
  const [peer] = peers;
  assert.ok(peer);
  const innerPlace = good.length - serializeEvidenceBundle(peer.bundle).length + placeOf(peer);
  for (const [start, prefixes] of [
    [placeOf(claim), [""]],
    [innerPlace, ["", "peers.0."]],
  ] as const) {
    for (let bit = 0; bit < sandboxLayers.length; bit += 1) {
      const changed = patched(good, start + 1, (good[start + 1] ?? 0) ^ (1 << bit));
      const { verdict, node, error } = await appraiseNode({ ...claim, bundle: parseEvidenceBundle(changed) });
      assert.equal(node, undefined);
      assert.equal(error?.code, "binding-mismatch");
      assert.equal(verdict.overall, "refused");
      assert.deepEqual(
        verdict.checks.filter(({ status }) => status === "fail").map(({ id }) => id),
        prefixes.map((prefix) => `${prefix}binding.report-data`),
      );
    }
  }
});

test("every set of layers has a leaf of its own", () => {
  const field = new Uint8Array(32);
  const binding = { spkiDigest: field, nonce: field, exporter: field, requestDigest: field };
  const parts = { statement: field, gpus: new Uint8Array(), peers: new Uint8Array() };
  const leaves = new Set<string>();
  for (let bits = 0; bits < 0x80; bits += 1)
    leaves.add(
      sessionLeaf(
        { ...binding, role: "guard" },
        { ...parts, layers: serializeSandboxLayers(subsetOf(bits)) },
      ).join(),
    );
  assert.equal(leaves.size, 0x80);
});

test("production refuses a node, and a peer, of any role that lacks any one layer", async () => {
  const production = productionPolicy(settings);
  // @ts-expect-error: the name of a profile is nothing that a settings file could bend
  const renamed: TrustPolicy = { ...policy, profile: "lenient" };
  const whole = { ...(await claimOf({ peers: [await present("guard")] })), policy: production };
  for (const { status, detail } of (await sandboxChecks(whole)).values())
    assert.deepEqual([status, detail], ["pass", "all 7 layers of the sandbox hold"]);
  for (const layer of sandboxLayers) {
    const layers = without(layer);
    for (const role of ["orchestrator", "predictor", "guard"] as const) {
      const shown = { ...(await present(role, { layers })), nowMs };
      for (const trust of [production, renamed]) {
        const check = (await sandboxChecks({ ...shown, policy: trust })).get("sandbox.layers");
        assert.deepEqual([check?.status, check?.code], ["fail", "sandbox-incomplete"], `${role} ${layer}`);
        assert.equal(check?.detail, `the sandbox lacks: ${sandboxWords[layer].missing}`);
      }
      if (role === "orchestrator") continue;
      const checks = await sandboxChecks({ ...(await claimOf({ peers: [shown] })), policy: production });
      assert.equal(checks.get("sandbox.layers")?.status, "pass");
      assert.equal(checks.get("peers.0.sandbox.layers")?.code, "sandbox-incomplete", `${role} ${layer}`);
    }
  }
});

test("development is told in words what is missing, before all else, and of peers too", async () => {
  for (const layer of sandboxLayers) {
    const peers = [await present("predictor", { layers: without(layer) })];
    const node = await verifyNode(await claimOf({ layers: without(layer), peers }));
    assert.equal(node.verdict.overall, "simulated");
    assert.equal(node.peers[0]?.verdict.overall, "simulated");
    for (const id of ["sandbox.layers", "peers.0.sandbox.layers"]) {
      const check = node.verdict.checks.find((one) => one.id === id);
      assert.equal(check?.status, "skip");
      assert.equal(check?.code, undefined);
      assert.equal(check?.detail, `MISSING: ${sandboxWords[layer].missing}; 6 of 7 layers hold`);
    }
  }
  const namespaces = (await sandboxChecks(await claimOf({ layers: without("namespaces") }))).get(
    "sandbox.layers",
  );
  assert.equal(
    namespaces?.detail,
    "MISSING: users, network, files and processes of its own; 6 of 7 layers hold",
  );
  const two = (await sandboxChecks(await claimOf({ layers: without("code", "limits") }))).get(
    "sandbox.layers",
  );
  const { code, limits } = sandboxWords;
  assert.equal(two?.detail, `MISSING: ${code.missing}; ${limits.missing}; 5 of 7 layers hold`);
  const none = (await sandboxChecks(await claimOf({ layers: [] }))).get("sandbox.layers");
  assert.match(none?.detail ?? "", /^MISSING: .*; 0 of 7 layers hold$/);
  for (const layer of sandboxLayers) assert.ok(none?.detail.includes(sandboxWords[layer].missing));
});

test("no verdict is good without the check, and none under AMD's roots with it skipped", () => {
  const all = checkIds.map((id): Check => ({ id, source: "", status: "pass", detail: "" }));
  const both = [...all, ...all.map((one) => ({ ...one, id: `peers.0.${one.id}` }))];
  for (const id of ["sandbox.layers", "peers.0.sandbox.layers"]) {
    const changed = (status: Check["status"]): Check[] =>
      both.map((one) => (one.id === id ? { ...one, status } : one));
    const conclude = (checks: readonly Check[]) =>
      (["amd", "simulated", undefined] as const).map((origin) => concludeVerdict(checks, origin).overall);
    assert.deepEqual(conclude(changed("pass")), ["verified", "simulated", "refused"]);
    assert.deepEqual(conclude(changed("skip")), ["refused", "simulated", "refused"]);
    assert.deepEqual(conclude(changed("fail")), ["refused", "refused", "refused"]);
    const gone = both.filter((one) => one.id !== id);
    assert.deepEqual(conclude(gone), ["refused", "refused", "refused"]);
    // Not even twice, once passed and once skipped.
    const again = both.filter((one) => one.id === id).map((one): Check => ({ ...one, status: "skip" }));
    assert.deepEqual(conclude([...both, ...again]), ["refused", "refused", "refused"]);
  }
  // What simulated hardware may lack is the sandbox, and nothing besides.
  for (const { id } of all) {
    const skipped = all.map((one): Check => (one.id === id ? { ...one, status: "skip" } : one));
    const good = ["sandbox.layers", "gpu.evidence"].includes(id);
    assert.equal(concludeVerdict(skipped, "simulated").overall, good ? "simulated" : "refused", id);
  }
});
