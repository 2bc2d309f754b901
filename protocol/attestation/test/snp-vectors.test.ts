import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import {
  AttestationError,
  amdRoots,
  parseSnpReport,
  type SnpEvidence,
  serializeCertificateTable,
  verifySnpEvidence,
} from "@sotto/attestation";
import { type Bytes, decodeUtf8, parsePem } from "@sotto/base";
import { readVector, vectorPath, vectorsMissing } from "../../../tests/vectors.ts";
import { parseCertificate } from "../src/certificate.ts";
import {
  checkChipAllowed,
  checkGenerationAllowed,
  checkGuestPolicy,
  checkPlatform,
  checkTcbFloor,
  type PlatformPolicy,
} from "../src/platform-policy.ts";

const nowMs = Date.UTC(2026, 10, 24);
const none = new Uint8Array();

function chainOf(generation: string, kind = "vcek"): { ask: Bytes; ark: Bytes } {
  const [ask, ark] = parsePem(
    decodeUtf8(readVector("snp", "ca", `${generation}_${kind}_chain.pem`)),
    "CERTIFICATE",
    2,
  );
  return { ask: ask ?? none, ark: ark ?? none };
}

function evidenceOf(folder: string, generation = folder.split("-")[0] ?? ""): SnpEvidence {
  const vek = readVector("snp", folder, "vcek.der");
  const certificates = serializeCertificateTable({ kind: "vcek", vek, ...chainOf(generation) });
  return { report: readVector("snp", folder, "report.bin"), certificates };
}

function realReports(): string[] {
  return readdirSync(vectorPath("snp")).filter((name) => /^(milan|genoa|turin)-v\d/.test(name));
}

const laboratory: PlatformPolicy = {
  generations: ["milan", "genoa", "turin"],
  minimumTcb: {},
  vmpl: 0,
  allowVlek: false,
  allowSmt: true,
  requireAliasCheck: false,
};

test("every real report is genuine, and its decoded TCB is the documented one", {
  skip: vectorsMissing,
}, async () => {
  const table = decodeUtf8(readVector("snp", "README.md"));
  const reports = realReports();
  assert.ok(reports.length >= 9);
  for (const name of reports) {
    const claims = await verifySnpEvidence(evidenceOf(name), amdRoots, nowMs);
    assert.equal(claims.generation, name.split("-")[0], name);
    assert.equal(claims.origin, "amd");
    const row = table.split("\n").find((line) => line.startsWith(`| ${name} |`));
    const cells = row?.split("|").map((cell) => cell.trim()) ?? [];
    const { bootLoader, tee, snp, microcode } = claims.tcb.reported;
    assert.equal(`-/${bootLoader}/${tee}/${snp}/${microcode}`, cells[9], name);
    assert.equal(`0x${claims.report.policy.toString(16)}`, cells[7], name);
    assert.equal(`0x${claims.report.platformInfo.toString(16)}`, cells[8], name);
    for (const check of [
      checkGenerationAllowed,
      checkChipAllowed,
      checkGuestPolicy,
      checkPlatform,
      checkTcbFloor,
    ]) {
      assert.ok(check(claims, laboratory).length > 0);
    }
  }
});

test("policy decides: generations, floors, alias check, chips", { skip: vectorsMissing }, async () => {
  const claims = await verifySnpEvidence(evidenceOf("milan-v3-vcek-oak-release"), amdRoots, nowMs);
  const refuse = (code: string, check: () => string): void => assert.throws(check, { code });
  refuse("generation-not-allowed", () =>
    checkGenerationAllowed(claims, { ...laboratory, generations: ["genoa", "turin"] }),
  );
  refuse("chip-not-allowed", () => checkChipAllowed(claims, { ...laboratory, chips: ["00".repeat(64)] }));
  assert.ok(checkChipAllowed(claims, { ...laboratory, chips: [claims.report.chipId] }));
  for (const [level, floor] of Object.entries({ bootLoader: 5, tee: 1, snp: 25, microcode: 220 })) {
    refuse("reported-tcb-too-low", () =>
      checkTcbFloor(claims, { ...laboratory, minimumTcb: { milan: { [level]: floor } } }),
    );
  }
  const old = await verifySnpEvidence(evidenceOf("milan-v2-vcek-virtee"), amdRoots, nowMs);
  refuse("alias-check-missing", () => checkPlatform(old, { ...laboratory, requireAliasCheck: true }));
  const debug = { ...claims, report: { ...claims.report, policy: claims.report.policy | (1n << 19n) } };
  refuse("debug-allowed", () => checkGuestPolicy(debug, laboratory));
  const migrating = { ...claims, report: { ...claims.report, policy: claims.report.policy | (1n << 18n) } };
  refuse("migration-allowed", () => checkGuestPolicy(migrating, laboratory));
});

test("8, 10: every byte of the signed part flipped, and of the signature: none accepted", {
  skip: vectorsMissing,
}, async () => {
  const evidence = evidenceOf("genoa-v3-vcek-azure-coco");
  for (let index = 0; index < evidence.report.length; index += 1) {
    const report = evidence.report.slice();
    report[index] = (report[index] ?? 0) ^ (1 << (index % 8));
    await assert.rejects(
      verifySnpEvidence({ ...evidence, report }, amdRoots, nowMs),
      AttestationError,
      `byte ${index}`,
    );
  }
});

test("other chips, other generations, other kinds, other times", { skip: vectorsMissing }, async () => {
  const milan = evidenceOf("milan-v3-vcek-dstack");
  const verify = (evidence: SnpEvidence, at = nowMs) => verifySnpEvidence(evidence, amdRoots, at);
  await assert.rejects(verify(milan, Date.UTC(2026, 4, 1)), { code: "certificate-not-yet-valid" });
  await assert.rejects(verify(milan, Date.UTC(2040, 0, 1)), { code: "certificate-expired" });
  await assert.rejects(verify(evidenceOf("milan-v3-vcek-dstack", "genoa")), { code: "bad-chain" });
  const other = evidenceOf("milan-v3-vcek-oak-release");
  await assert.rejects(verify({ ...milan, certificates: other.certificates }), { code: "bad-signature" });
  const genoa = evidenceOf("genoa-v3-vcek-azure-coco");
  await assert.rejects(verify({ ...genoa, report: milan.report }), { code: "bad-signature" });
  const vek = readVector("snp", "milan-v3-vcek-dstack", "vcek.der");
  const asVlek = serializeCertificateTable({ kind: "vlek", vek, ...chainOf("milan") });
  await assert.rejects(verify({ ...milan, certificates: asVlek }), { code: "certificate-kind-mismatch" });
  const wrongAsk = serializeCertificateTable({ kind: "vcek", vek, ...chainOf("milan", "vlek") });
  await assert.rejects(verify({ ...milan, certificates: wrongAsk }), { code: "bad-chain" });
  const askAsArk = { ...chainOf("milan"), ark: chainOf("milan").ask };
  const noRoot = serializeCertificateTable({ kind: "vcek", vek, ...askAsArk });
  await assert.rejects(verify({ ...milan, certificates: noRoot }), { code: "untrusted-root" });
});

test("forged endorsement keys are refused; a real one of another chip does not sign this report", {
  skip: vectorsMissing,
}, async () => {
  for (const [file, code] of [
    ["coco_vcek_invalid_legacy.der", "bad-chain"],
    ["coco_vcek_invalid_new.der", "bad-chain"],
  ] as const) {
    const vek = readVector("snp", "invalid-certs", file);
    const certificates = serializeCertificateTable({ kind: "vcek", vek, ...chainOf("milan") });
    const { report } = evidenceOf("milan-v2-vcek-coco");
    await assert.rejects(verifySnpEvidence({ report, certificates }, amdRoots, nowMs), { code }, file);
  }
  const vek = readVector("snp", "invalid-certs", "turin_vcek_virtee.der");
  const certificates = serializeCertificateTable({ kind: "vcek", vek, ...chainOf("turin") });
  const { report } = evidenceOf("milan-v2-vcek-coco");
  await assert.rejects(verifySnpEvidence({ report, certificates }, amdRoots, nowMs), {
    code: "bad-signature",
  });
});

test("a certificate cut or flipped anywhere is refused, never a bug", { skip: vectorsMissing }, async () => {
  const der = readVector("snp", "genoa-v3-vcek-azure-coco", "vcek.der");
  const { report } = evidenceOf("genoa-v3-vcek-azure-coco");
  for (let index = 0; index < der.length; index += 1) {
    assert.throws(() => parseCertificate(der.slice(0, index)), AttestationError, `cut at ${index}`);
    const vek = der.slice();
    vek[index] = (vek[index] ?? 0) ^ 0x21;
    const certificates = serializeCertificateTable({ kind: "vcek", vek, ...chainOf("genoa") });
    await assert.rejects(
      verifySnpEvidence({ report, certificates }, amdRoots, nowMs),
      AttestationError,
      `flip ${index}`,
    );
  }
});

test("reports of other lengths, versions and reserved bytes are refused by code", {
  skip: vectorsMissing,
}, () => {
  const report = readVector("snp", "genoa-v3-vcek-azure-coco", "report.bin");
  const changed = (offset: number, value: number): Uint8Array => {
    const bytes = report.slice();
    bytes[offset] = value;
    return bytes;
  };
  assert.throws(() => parseSnpReport(report.slice(0, 1183)), { code: "malformed" });
  assert.throws(() => parseSnpReport(new Uint8Array(1185)), { code: "malformed" });
  for (const version of [0, 1, 6])
    assert.throws(() => parseSnpReport(changed(0, version)), { code: "unsupported-version" });
  for (const algorithm of [0, 2])
    assert.throws(() => parseSnpReport(changed(0x34, algorithm)), {
      code: "unsupported-algorithm",
    });
  for (const offset of [0x4c, 0x18b, 0x1eb, 0x1ef, 0x208, 0x29f, 0x330, 0x49f]) {
    assert.throws(
      () => parseSnpReport(changed(offset, 1)),
      { code: "reserved-not-zero" },
      `offset ${offset.toString(16)}`,
    );
  }
  for (const offset of [0x2a0 + 48, 0x2e8 + 71])
    assert.throws(() => parseSnpReport(changed(offset, 1)), { code: "signature-out-of-range" });
  assert.throws(() => parseSnpReport(changed(0x0a, 0)), AttestationError, "policy bit 17 must be one");
  assert.throws(() => parseSnpReport(changed(0x0c, 1)), AttestationError, "unknown policy bit");
  const zeroed = report.slice();
  zeroed.fill(0, 0x2a0, 0x2a0 + 72);
  assert.throws(() => parseSnpReport(zeroed), { code: "signature-out-of-range" });
});
