// The whole verdict: good nodes pass, and whatever is wrong with one is refused for just that.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AttestationError,
  type AttestationErrorCode,
  appraiseNode,
  type CheckId,
  checkIds,
  concludeVerdict,
  type EvidenceBundle,
  type NodeClaim,
  parseEvidenceBundle,
  productionPolicy,
  serializeEvidenceBundle,
  type TrustPolicy,
  trustSettingsSchema,
  VerifiedNode,
  verifyNode,
} from "@sotto/attestation";
import {
  type CertificateExtension,
  developmentPolicy,
  issueSimulatedChip,
  type ReportOverrides,
  serializeTcb,
  simulatedTcb,
} from "@sotto/attestation/software";
import { encodeHex, encodeUtf8, systemRandom } from "@sotto/base";
import { type Role, serializeStatement } from "@sotto/log";
import fc from "fast-check";
import { der } from "../src/software/der-writer.ts";
import {
  authority,
  bindingOf,
  chip,
  dayMs,
  le,
  measurement,
  type NodeOptions,
  nowMs,
  nowSeconds,
  type Presented,
  patched,
  policy,
  policyWith,
  present,
  prove,
  refuses,
  releaseOf,
  settings,
} from "./stage.ts";

async function claimOf(role: Role = "orchestrator", options: NodeOptions = {}): Promise<NodeClaim> {
  return { ...(await present(role, options)), policy, nowMs };
}

/** That a node fails first at one check, with one code, and that verifying throws the same. */
async function failsAt(claim: NodeClaim, id: string, code: AttestationErrorCode): Promise<void> {
  const { verdict, node, error } = await appraiseNode(claim);
  const failed = verdict.checks.find(({ status }) => status === "fail");
  assert.deepEqual([failed?.id, failed?.code], [id, id.startsWith("peers.") ? failed?.code : code]);
  assert.equal(verdict.overall, "refused");
  assert.equal(node, undefined);
  assert.equal(error?.code, code);
  await assert.rejects(verifyNode(claim), (thrown: unknown) => {
    assert.ok(thrown instanceof AttestationError);
    assert.equal(thrown.code, code);
    assert.deepEqual(thrown.verdict, verdict);
    return true;
  });
}

test("a good node is simulated at best, and every check is there, in order", async () => {
  for (const role of ["orchestrator", "predictor", "guard"] as const) {
    const claim = await claimOf(role, { batch: { index: 2, size: 7 } });
    const node = await verifyNode(claim);
    assert.ok(VerifiedNode.isVerified(node));
    assert.equal(node.role, role);
    assert.equal(node.claims.origin, "simulated");
    assert.equal(node.release.version, "1.0.0");
    assert.equal(node.logged.index, 3);
    assert.deepEqual(node.peers, []);
    assert.equal(node.verdict.overall, "simulated");
    assert.deepEqual(
      node.verdict.checks.map(({ id }) => id),
      checkIds,
    );
    const skipped = node.verdict.checks.filter(({ status }) => status !== "pass").map(({ id }) => id);
    assert.deepEqual(skipped, ["gpu.evidence"]);
    assert.match(node.verdict.checks[1]?.detail ?? "", /SIMULATED root, not AMD's/);
  }
});

test("only verifying makes a verified node", async () => {
  const node = await verifyNode(await claimOf());
  assert.throws(
    () => Reflect.construct(VerifiedNode, [Symbol("verified"), node, [], node.verdict]),
    TypeError,
  );
  assert.ok(!VerifiedNode.isVerified({ ...node }));
  assert.ok(!VerifiedNode.isVerified(Object.create(VerifiedNode.prototype)));
  // @ts-expect-error: the same shape is not the same type
  const copy: VerifiedNode = { ...node };
  assert.notEqual(copy, node);
});

test("the root of a simulated installation is worth nothing in production", async () => {
  const production = productionPolicy(settings);
  const claim = { ...(await claimOf()), policy: production };
  await failsAt(claim, "snp.chain", "untrusted-root");
  const { verdict } = await appraiseNode(claim);
  assert.match(verdict.checks.find(({ id }) => id === "snp.chain")?.detail ?? "", /not AMD's/);
  // @ts-expect-error: a production policy has no place for simulated roots
  const mixed: TrustPolicy = { ...production, roots: policy.roots };
  await failsAt({ ...claim, policy: mixed }, "snp.chain", "untrusted-root");
  // @ts-expect-error: nor does the name of the profile turn one into the other
  const renamed: TrustPolicy = { ...policy, profile: "production" };
  await failsAt({ ...claim, policy: renamed }, "snp.chain", "untrusted-root");
});

test("a production policy has a floor for each generation, and witnesses", async () => {
  const platform = { ...settings.platform, generations: ["genoa" as const, "turin" as const] };
  await refuses(() => productionPolicy({ ...settings, platform }), "floor-missing");
  const log = settings.log.replace("quorum both", "quorum none");
  await refuses(() => productionPolicy({ ...settings, log }), "quorum-missing");
  const { generations: _, ...unsaid } = settings.platform;
  const parsed = trustSettingsSchema.parse({ ...settings, platform: unsaid });
  assert.deepEqual(parsed.platform.generations, ["genoa", "turin"]);
  for (const change of [{ debug: true }, { vmpl: 4 }, { generations: [] }, { chips: ["AB"] }])
    assert.ok(!trustSettingsSchema.safeParse({ ...settings, platform: { ...platform, ...change } }).success);
  const { simulatedRoot: _root, ...rootless } = settings;
  await refuses(() => developmentPolicy(rootless), "untrusted-root");
});

const tcb = (changes: Partial<typeof simulatedTcb>) => serializeTcb({ ...simulatedTcb, ...changes }, "turin");
const policyBits = (...bits: readonly number[]) =>
  le(
    8,
    bits.reduce((value, bit) => value | (1n << BigInt(bit)), 1n << 17n),
  );
const ones = new Uint8Array(32).fill(0xff);

test("what a report may not say", async () => {
  const wrong: readonly [ReportOverrides, CheckId, AttestationErrorCode][] = [
    [{ version: le(4, 6) }, "evidence.format", "unsupported-version"],
    [{ signatureAlgorithm: le(4, 2) }, "evidence.format", "unsupported-algorithm"],
    [{ reserved1: le(4, 1) }, "evidence.format", "reserved-not-zero"],
    [{ policy: le(8, 0x1013a) }, "evidence.format", "unknown-policy-bits"],
    [{ policy: policyBits(26) }, "evidence.format", "unknown-policy-bits"],
    [{ keyInfo: le(4, 2 << 2) }, "evidence.format", "unknown-signing-key"],
    [{ cpuFamily: le(1, 0x1b) }, "evidence.format", "unknown-processor"],
    [{ signatureS: new Uint8Array(72) }, "evidence.format", "signature-out-of-range"],
    [{ signatureS: le(72, 1) }, "snp.signature", "bad-signature"],
    [{ keyInfo: le(4, 1 << 2) }, "snp.signature", "signing-key-mismatch"],
    [{ keyInfo: le(4, 7 << 2) }, "snp.signature", "signing-key-mismatch"],
    [{ cpuFamily: le(1, 0x19), cpuModel: le(1, 0x11) }, "snp.tcb", "generation-mismatch"],
    ...(["fmc", "bootLoader", "tee", "snp", "microcode"] as const).map(
      (level): [ReportOverrides, CheckId, AttestationErrorCode] => [
        { reportedTcb: tcb({ [level]: simulatedTcb[level] + 1 }) },
        "snp.tcb",
        "tcb-mismatch",
      ],
    ),
    [{ reportedTcb: tcb({ snp: 3 }) }, "snp.tcb", "tcb-mismatch"],
    [{ launchTcb: le(8, 1n << 40n) }, "snp.tcb", "reserved-not-zero"],
    [{ currentTcb: tcb({ microcode: 79 }) }, "snp.tcb", "tcb-inconsistent"],
    [{ chipId: systemRandom(8) }, "snp.chip", "chip-mismatch"],
    [{ chipId: new Uint8Array([...chip.hardwareId, 1]) }, "snp.chip", "chip-mismatch"],
    [{ chipId: new Uint8Array(64) }, "snp.chip", "chip-masked"],
    [{ keyInfo: le(4, 2) }, "snp.chip", "chip-masked"],
    [{ policy: policyBits(19) }, "snp.policy", "debug-allowed"],
    [{ policy: policyBits(16, 18) }, "snp.policy", "migration-allowed"],
    [{ reportIdMa: new Uint8Array(32) }, "snp.policy", "migration-allowed"],
    [{ reportIdMa: patched(ones, 31, 0xfe) }, "snp.policy", "migration-allowed"],
    [{ policy: policyBits(21) }, "snp.policy", "cxl-allowed"],
    [{ vmpl: le(4, 1) }, "snp.vmpl", "wrong-vmpl"],
    [{ vmpl: le(4, 0xffffffff) }, "snp.vmpl", "wrong-vmpl"],
    [{ platformInfo: le(8, 0x05) }, "snp.platform", "alias-check-missing"],
    [{ committedTcb: tcb({ snp: 3 }) }, "snp.tcb-floor", "committed-tcb-too-low"],
    [{ launchTcb: tcb({ bootLoader: 0 }) }, "snp.tcb-floor", "launch-tcb-too-low"],
    [{ reportData: systemRandom(64) }, "binding.report-data", "binding-mismatch"],
    [{ measurement: systemRandom(48) }, "release.measurement", "measurement-mismatch"],
  ];
  for (const [overrides, id, code] of wrong)
    await failsAt(await claimOf("orchestrator", { overrides }), id, code);
});

test("each level has its own floor, in each of three TCBs", async () => {
  const levels = ["fmc", "bootLoader", "tee", "snp", "microcode"] as const;
  for (const level of levels) {
    const above = { ...simulatedTcb, [level]: simulatedTcb[level] + 1 };
    const higher = await issueSimulatedChip(authority, nowMs, systemRandom, { tcb: above });
    const chips = [encodeHex(higher.hardwareId).padEnd(128, "0")];
    const strict = policyWith({ minimumTcb: { turin: { [level]: above[level] } }, chips });
    const lower = serializeTcb(simulatedTcb, "turin");
    const judge = async (overrides: ReportOverrides): Promise<NodeClaim> => ({
      ...(await claimOf("orchestrator", { chip: higher, overrides })),
      policy: strict,
    });
    await verifyNode(await judge({}));
    const claim = {
      ...(await claimOf()),
      policy: policyWith({ minimumTcb: { turin: { [level]: above[level] } } }),
    };
    await failsAt(claim, "snp.tcb-floor", "reported-tcb-too-low");
    await failsAt(await judge({ committedTcb: lower }), "snp.tcb-floor", "committed-tcb-too-low");
    await failsAt(await judge({ launchTcb: lower }), "snp.tcb-floor", "launch-tcb-too-low");
  }
});

test("what a policy may not want of this machine", async () => {
  const claim = await claimOf();
  const id = encodeHex(chip.hardwareId).padEnd(128, "0");
  const wrong: readonly [Parameters<typeof policyWith>[0], CheckId, AttestationErrorCode][] = [
    [{ generations: ["genoa"] }, "snp.generation", "generation-not-allowed"],
    [{ chips: ["00".repeat(64)] }, "snp.chip", "chip-not-allowed"],
    [{ chips: [] }, "snp.chip", "chip-not-allowed"],
    [{ refusedChips: [id] }, "snp.chip", "chip-refused"],
    [{ allowSmt: false }, "snp.policy", "smt-allowed"],
    [{ vmpl: 1 }, "snp.vmpl", "wrong-vmpl"],
    [{ requiredMitigations: 1 }, "snp.platform", "mitigation-missing"],
  ];
  for (const [change, check, code] of wrong)
    await failsAt({ ...claim, policy: policyWith(change) }, check, code);
  for (const change of [{ chips: undefined }, { refusedChips: ["00".repeat(64)] }, { minimumTcb: {} }])
    await verifyNode({ ...claim, policy: policyWith(change) });
  const unchecked = await claimOf("orchestrator", { overrides: { platformInfo: le(8, 0x05) } });
  await verifyNode({ ...unchecked, policy: policyWith({ requireAliasCheck: false }) });
});

test("mitigations are asked for bit by bit, of reports that have them", async () => {
  const judge = async (overrides: ReportOverrides) => ({
    ...(await claimOf("orchestrator", { overrides })),
    policy: policyWith({ requiredMitigations: 0b101 }),
  });
  await verifyNode(await judge({ currentMitigations: le(8, 0b1101) }));
  for (const mitigations of [0b1, 0b100, 0b1010])
    await failsAt(
      await judge({ currentMitigations: le(8, mitigations) }),
      "snp.platform",
      "mitigation-missing",
    );
  await failsAt(await judge({ version: le(4, 3) }), "snp.platform", "mitigation-missing");
});

test("platform bits of which nobody here knows the meaning are told, and do no harm", async () => {
  const node = await verifyNode(await claimOf("orchestrator", { overrides: { platformInfo: le(8, 0x67) } }));
  assert.match(node.verdict.checks.find(({ id }) => id === "snp.platform")?.detail ?? "", /0x40/);
});

test("a cloud's loaded key is recognised, and refused unless policy takes it", async () => {
  const csp = { id: "1.3.6.1.4.1.3704.1.5", content: der.ia5String("CN=cloud.example") };
  const extensions = (all: readonly CertificateExtension[]) => [...all.slice(0, -1), csp];
  const loaded = await issueSimulatedChip(authority, nowMs, systemRandom, { kind: "vlek", extensions });
  const overrides = { keyInfo: le(4, 1 << 2), chipId: new Uint8Array(64) };
  const claim = await claimOf("orchestrator", { chip: loaded, overrides });
  await failsAt(claim, "snp.chip", "vlek-not-allowed");
  await failsAt({ ...claim, policy: policyWith({ allowVlek: true }) }, "snp.chip", "chip-not-allowed");
  const node = await verifyNode({ ...claim, policy: policyWith({ allowVlek: true, chips: undefined }) });
  assert.equal(node.claims.signedBy, "vlek");
  assert.equal(node.claims.cspId, "CN=cloud.example");
});

test("certificates out of their time", async () => {
  const claim = await claimOf();
  await failsAt({ ...claim, nowMs: nowMs - 2 * dayMs }, "snp.chain", "certificate-not-yet-valid");
  await failsAt({ ...claim, nowMs: nowMs + 8 * 365 * dayMs }, "snp.chain", "certificate-expired");
});

test("evidence for another session, role, statement, or of other peers and GPUs", async () => {
  const { bundle, binding, ...rest } = await claimOf("orchestrator", { batch: { index: 1, size: 4 } });
  const claim = { bundle, binding, ...rest };
  await verifyNode(claim);
  const mismatch = async (change: Partial<NodeClaim>) =>
    failsAt({ ...claim, ...change }, "binding.report-data", "binding-mismatch");
  for (const name of ["spkiDigest", "nonce", "exporter", "requestDigest"] as const)
    await mismatch({ binding: { ...binding, [name]: systemRandom(32) } });
  for (const role of ["predictor", "guard"] as const) await mismatch({ binding: { ...binding, role } });
  await mismatch({ binding: bindingOf("orchestrator") });
  await mismatch({ bundle: { ...bundle, batch: { ...bundle.batch, index: 2 } } });
  const other = await present("orchestrator", { batch: { index: 1, size: 4 } });
  await mismatch({ bundle: { ...bundle, batch: other.bundle.batch } });
  await mismatch({ bundle: other.bundle });
  await mismatch({ bundle: { ...bundle, peers: [await present("predictor")] } });
  await mismatch({ bundle: { ...bundle, gpus: [systemRandom(8)] } });
  const statement = serializeStatement(releaseOf("orchestrator", { version: "2.0.0" }));
  await mismatch({ bundle: { ...bundle, statement, proof: await prove(statement) } });
  for (const bad of [systemRandom(31), new Uint8Array(0)])
    await failsAt({ ...claim, binding: { ...binding, nonce: bad } }, "binding.report-data", "malformed");
});

test("what a release must be", async () => {
  const wrong: readonly [NodeOptions, CheckId, AttestationErrorCode][] = [
    [{ log: { unlogged: true } }, "release.logged", "not-logged"],
    [{ log: { stranger: true } }, "release.logged", "unknown-log"],
    [{ log: { wrongKey: true } }, "release.logged", "unknown-log"],
    [{ log: { seenAt: [nowSeconds] } }, "release.logged", "unwitnessed"],
    [{ log: { seenAt: [] } }, "release.logged", "unwitnessed"],
    [{ log: { seenAt: [nowSeconds, nowSeconds - 86_401] } }, "release.logged", "stale-proof"],
    [{ log: { seenAt: [nowSeconds, nowSeconds + 3600] } }, "release.logged", "stale-proof"],
    [{ statement: encodeUtf8("{}") }, "release.logged", "malformed-proof"],
    [{ statement: new Uint8Array(0) }, "release.logged", "malformed-proof"],
    [{ release: { role: "predictor" } }, "release.role", "wrong-role"],
    [{ release: { expiresAt: nowSeconds } }, "release.expiry", "release-expired"],
    [{ release: { issuedAt: nowSeconds + 301 } }, "release.expiry", "release-not-yet-valid"],
    [{ release: { securityVersion: 2 } }, "release.security-version", "security-version-too-low"],
    [{ release: { measurements: ["00".repeat(48)] } }, "release.measurement", "measurement-mismatch"],
  ];
  for (const [options, id, code] of wrong) await failsAt(await claimOf("orchestrator", options), id, code);
  const weights = serializeStatement({
    kind: "weights",
    name: "model",
    files: [{ path: "a.gguf", size: 1, digest: `sha256:${"00".repeat(32)}` }],
    issuedAt: nowSeconds,
    expiresAt: nowSeconds + 60,
  });
  await failsAt(await claimOf("orchestrator", { statement: weights }), "release.logged", "wrong-statement");
  for (const release of [
    { expiresAt: nowSeconds + 1 },
    { issuedAt: nowSeconds + 300 },
    { expiresAt: Number.MAX_SAFE_INTEGER },
  ])
    await verifyNode(await claimOf("orchestrator", { release }));
  const claim = await claimOf();
  const garbled = { ...claim.bundle, proof: encodeUtf8("c2sp.org/tlog-proof@v1\n") };
  await failsAt({ ...claim, bundle: garbled }, "release.logged", "malformed-proof");
  const { verdict } = await appraiseNode({ ...claim, nowMs: Number.NaN });
  for (const { id, status } of verdict.checks.filter(({ id }) => /chain|logged/.test(id)))
    assert.equal(status, "fail", id);
});

test("a predictor's release says which model runs, and a guard's which judges", async () => {
  for (const role of ["predictor", "guard"] as const) {
    const claim = await claimOf(role, { release: { weights: [] } });
    const { verdict } = await appraiseNode({ ...claim, policy: productionPolicy(settings) });
    assert.equal(verdict.checks.find(({ id }) => id === "release.role")?.code, "weights-not-named");
    const node = await verifyNode(claim);
    assert.match(node.verdict.checks.find(({ id }) => id === "release.role")?.detail ?? "", /NOT stated/);
  }
});

test("an orchestrator's release says which safety policy it enforces; other roles need not", async () => {
  const roleOf = async (claim: NodeClaim) =>
    (await appraiseNode(claim)).verdict.checks.find(({ id }) => id === "release.role");
  const production = productionPolicy(settings);
  const claim = await claimOf("orchestrator", { release: { policies: [] } });
  const refused = await roleOf({ ...claim, policy: production });
  assert.deepEqual([refused?.status, refused?.code], ["fail", "policy-not-named"]);
  await verifyNode(claim);
  assert.match((await roleOf(claim))?.detail ?? "", /safety policy it enforces is NOT stated/);
  const named = await roleOf({ ...(await claimOf()), policy: production });
  assert.deepEqual([named?.status, named?.detail], ["pass", "released as orchestrator"]);
  for (const role of ["predictor", "guard"] as const) {
    const other = await roleOf({ ...(await claimOf(role)), policy: production });
    assert.deepEqual([other?.status, other?.detail], ["pass", `released as ${role}`]);
  }
});

test("GPU evidence that nobody can judge is refused, not passed over", async () => {
  await failsAt(await claimOf("predictor", { gpus: [systemRandom(64)] }), "gpu.evidence", "gpu-refused");
});

test("a node's peers are judged like the node, and one bad peer is enough", async () => {
  const [good, other] = [await present("predictor"), await present("guard")];
  const node = await verifyNode(await claimOf("orchestrator", { peers: [good, other] }));
  assert.deepEqual(
    node.peers.map(({ role, verdict }) => [role, verdict.overall]),
    [
      ["predictor", "simulated"],
      ["guard", "simulated"],
    ],
  );
  assert.equal(node.verdict.checks.length, 3 * checkIds.length);
  assert.equal(node.verdict.checks[2 * checkIds.length]?.id, "peers.1.evidence.format");
  const bad: readonly [Presented, CheckId][] = [
    [await present("predictor", { overrides: { policy: policyBits(19) } }), "snp.policy"],
    [await present("predictor", { release: { issuedAt: 1, expiresAt: 2 } }), "release.expiry"],
    [await present("predictor", { gpus: [systemRandom(8)] }), "gpu.evidence"],
    [{ ...(await present("predictor")), binding: bindingOf("predictor") }, "binding.report-data"],
    [await present("orchestrator"), "release.role"],
    [await present("predictor", { release: { role: "orchestrator" } }), "release.role"],
  ];
  for (const [peer, id] of bad) {
    await failsAt(await claimOf("orchestrator", { peers: [good, peer] }), `peers.1.${id}`, "peer-refused");
    await failsAt(await claimOf("orchestrator", { peers: [peer, good] }), `peers.0.${id}`, "peer-refused");
  }
});

test("a peer has no peers of its own", async () => {
  const claim = await claimOf("orchestrator");
  const peer = await present("predictor", { peers: [await present("guard")] });
  const { verdict, error } = await appraiseNode({ ...claim, bundle: { ...claim.bundle, peers: [peer] } });
  assert.equal(verdict.checks.find(({ id }) => id === "peers.0.evidence.format")?.code, "malformed");
  assert.equal(error?.code, "binding-mismatch");
});

test("no check that was skipped or is missing, twice or unknown makes a good verdict", () => {
  const passed = checkIds.map((id) => ({
    id: id as string,
    source: "",
    status: "pass" as const,
    detail: "",
  }));
  const conclude = (checks: Parameters<typeof concludeVerdict>[0]) => concludeVerdict(checks, "amd").overall;
  assert.equal(conclude(passed), "verified");
  assert.equal(concludeVerdict(passed, "simulated").overall, "simulated");
  assert.equal(concludeVerdict(passed, undefined).overall, "refused");
  assert.equal(conclude([]), "refused");
  for (const { id } of passed) {
    const changed = (status: "fail" | "skip") =>
      passed.map((check) => (check.id === id ? { ...check, status } : check));
    assert.equal(conclude(changed("fail")), "refused");
    assert.equal(conclude(changed("skip")), id === "gpu.evidence" ? "verified" : "refused");
    assert.equal(conclude(passed.filter((check) => check.id !== id)), "refused");
    assert.equal(conclude([...passed, ...passed.filter((check) => check.id === id)]), "refused");
    assert.equal(
      conclude([...passed, ...passed.slice(0, 1).map((one) => ({ ...one, id: `peers.0.${id}` }))]),
      "refused",
    );
  }
  assert.equal(
    conclude([...passed, ...passed.map((one) => ({ ...one, id: `peers.0.${one.id}` }))]),
    "verified",
  );
  assert.equal(
    conclude([...passed, ...passed.slice(0, 1).map((one) => ({ ...one, id: "snp.other" }))]),
    "refused",
  );
});

test("no byte of a node's evidence can be another", async () => {
  const peers = [await present("predictor")];
  const claim = await claimOf("orchestrator", { peers, batch: { index: 3, size: 6 } });
  const good = serializeEvidenceBundle(claim.bundle);
  await verifyNode({ ...claim, bundle: parseEvidenceBundle(good) });
  let parsed = 0;
  // Every byte of reports and certificates is tried against AMD's own; here every part of a bundle is.
  for (let index = 0; index < good.length; index += 29) {
    let bundle: EvidenceBundle;
    try {
      bundle = parseEvidenceBundle(patched(good, index, (good[index] ?? 0) ^ (1 << (index % 8))));
    } catch (error) {
      assert.ok(error instanceof AttestationError);
      continue;
    }
    parsed += 1;
    const { node } = await appraiseNode({ ...claim, bundle });
    assert.equal(node, undefined, `byte ${index}`);
  }
  assert.ok(parsed > good.length / 58);
});

test("evidence of any bytes is refused, and never breaks the verifier", async () => {
  const any = fc.uint8Array({ maxLength: 1300 }).map((array) => new Uint8Array(array));
  const { bundle, ...rest } = await claimOf();
  await fc.assert(
    fc.asyncProperty(any, any, any, any, async (report, certificates, statement, proof) => {
      const snp = { report, certificates };
      for (const change of [{ snp }, { statement, proof }, { snp, statement, proof, gpus: [report] }]) {
        const { node, verdict } = await appraiseNode({ ...rest, bundle: { ...bundle, ...change } });
        assert.equal(node, undefined);
        assert.equal(verdict.overall, "refused");
      }
    }),
    { numRuns: 50 },
  );
});

test("words for people hold nothing from outside but public facts of hardware and log", async () => {
  const claim = await claimOf("orchestrator", { release: { version: "<script>" } });
  const { verdict } = await appraiseNode(claim);
  const text = JSON.stringify(verdict.checks);
  assert.ok(!text.includes("script"));
  assert.ok(text.includes(measurement.slice(0, 16)));
  for (const secret of [claim.binding.nonce, claim.binding.exporter])
    assert.ok(!text.includes(encodeHex(secret).slice(0, 12)));
  for (const { detail } of verdict.checks) assert.match(detail, /^[\x20-\x7e…]+$/);
});
