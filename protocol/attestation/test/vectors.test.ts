// Real AMD reports and certificates: the right verdict on each, and no byte of them that could be another.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AttestationError,
  amdRoots,
  appraiseNode,
  type GenuineClaims,
  type NodeClaim,
  parseCertificateTable,
  productionPolicy,
  type SnpEvidence,
  sandboxLayers,
  serializeCertificateTable,
  trustSettingsSchema,
  verifySnpEvidence,
} from "@sotto/attestation";
import { type Bytes, decodeHex, decodeUtf8, encodeHex, parsePem, sha256 } from "@sotto/base";
import { readVector, vectorsMissing } from "../../../tests/vectors.ts";
import { importIssuerKey, parseCertificate, verifyIssuedBy } from "../src/certificate.ts";
import { checkGenerationAllowed } from "../src/platform-policy.ts";
import { revokedAuthorities } from "../src/roots.ts";
import { isRevoked, verifyEndorsement } from "../src/snp/endorsement.ts";
import { bindingOf, dayMs, nowMs, patched, policy, prove, refuses, releaseOf, settings } from "./stage.ts";

// Directory, version, generation, reported TCB (boot loader, tee, snp, microcode), PLATFORM_INFO, start of SHA-256.
const reports = [
  ["milan-v2-vcek-virtee", 2, "milan", [3, 0, 8, 115], 0x1n, "120d77b213c8868d"],
  ["milan-v2-vcek-coco", 2, "milan", [3, 0, 8, 115], 0x1n, "7c614616feb65823"],
  ["milan-v2-vcek-azure-coco", 2, "milan", [3, 0, 8, 115], 0x1n, "2e63568e22c4d413"],
  ["milan-v2-vcek-automata", 2, "milan", [3, 0, 22, 209], 0x1n, "597d1fae0914bc33"],
  ["milan-v3-vcek-dstack", 3, "milan", [4, 0, 23, 213], 0x25n, "a20e02a2e8198894"],
  ["milan-v3-vcek-oak-release", 3, "milan", [4, 0, 24, 219], 0x25n, "40a2778d02fa56e1"],
  ["milan-v3-vcek-oak-staging", 3, "milan", [4, 0, 24, 219], 0x25n, "810ea610009bd3ef"],
  ["genoa-v3-vcek-azure-coco", 3, "genoa", [10, 0, 23, 84], 0x24n, "227a641db25e82ae"],
  ["genoa-v3-vcek-azure-openpcc", 3, "genoa", [10, 0, 23, 84], 0x24n, "a9e9196c94d21b9b"],
] as const;
type Gen = "milan" | "genoa" | "turin";
const generations = ["milan", "genoa", "turin"] as const;
const skip = vectorsMissing;

function authorities(generation: Gen, kind: "vcek" | "vlek" = "vcek"): { ask: Bytes; ark: Bytes } {
  const [ask, ark] = parsePem(
    decodeUtf8(readVector("snp", "ca", `${generation}_${kind}_chain.pem`)),
    "CERTIFICATE",
    2,
  );
  assert.ok(ask && ark);
  return { ask, ark };
}

function evidenceOf(name: string): SnpEvidence {
  const generation = generations.find((word) => name.startsWith(word));
  assert.ok(generation);
  const vek = readVector("snp", name, "vcek.der");
  const certificates = serializeCertificateTable({ kind: "vcek", vek, ...authorities(generation) });
  return { report: readVector("snp", name, "report.bin"), certificates };
}

const verify = (evidence: SnpEvidence, at = nowMs): Promise<GenuineClaims> =>
  verifySnpEvidence(evidence, amdRoots, at);

async function isRefused(evidence: SnpEvidence): Promise<boolean> {
  try {
    await verify(evidence);
    return false;
  } catch (error) {
    assert.ok(error instanceof AttestationError, String(error));
    return true;
  }
}

test("every real report is genuine, and says what its README says", { skip }, async () => {
  for (const [name, version, generation, levels, platformInfo, digest] of reports) {
    const evidence = evidenceOf(name);
    assert.ok(encodeHex(sha256(evidence.report)).startsWith(digest));
    const claims = await verify(evidence);
    assert.equal(claims.origin, "amd");
    assert.equal(claims.generation, generation);
    assert.equal(claims.signedBy, "vcek");
    assert.equal(claims.report.version, version);
    assert.equal(claims.report.vmpl, 0);
    assert.equal(claims.report.platformInfo, platformInfo);
    const { fmc, bootLoader, tee, snp, microcode } = claims.tcb.reported;
    assert.deepEqual([fmc, bootLoader, tee, snp, microcode], [0, ...levels]);
  }
});

test("every real report against the default policy and against one that allows Milan", { skip }, async () => {
  const log = { statement: new Uint8Array(), proof: new Uint8Array() };
  for (const [name, , generation, , platformInfo] of reports) {
    const judge = async (allowed: readonly Gen[] | undefined) => {
      const { generations: _, chips: __, ...platform } = settings.platform;
      const minimumTcb = { milan: {}, genoa: {}, turin: {} };
      const wanted = { ...settings, platform: { ...platform, minimumTcb, generations: allowed } };
      const trust = productionPolicy(trustSettingsSchema.parse(wanted));
      const batch = { index: 0, size: 1, path: [] };
      const bundle = { snp: evidenceOf(name), batch, ...log, layers: sandboxLayers, gpus: [], peers: [] };
      const claim: NodeClaim = { bundle, binding: bindingOf("orchestrator"), policy: trust, nowMs };
      const { verdict, node } = await appraiseNode(claim);
      assert.equal(node, undefined);
      assert.equal(verdict.overall, "refused");
      return new Map(verdict.checks.map(({ id, status, code }) => [id, code ?? status]));
    };
    const allowing = await judge(generations);
    for (const id of ["evidence.format", "snp.chain", "snp.signature", "snp.tcb", "snp.chip", "snp.policy"])
      assert.equal(allowing.get(id), "pass", `${name} ${id}`);
    assert.equal(allowing.get("snp.generation"), "pass");
    // Old firmware does not know the check for aliases.
    assert.equal(allowing.get("snp.platform"), platformInfo === 1n ? "alias-check-missing" : "pass");
    assert.equal(allowing.get("snp.tcb-floor"), "pass");
    assert.equal(allowing.get("binding.report-data"), "binding-mismatch");
    const strict = await judge(undefined);
    assert.equal(strict.get("snp.generation"), generation === "milan" ? "generation-not-allowed" : "pass");
    const claims = await verify(evidenceOf(name));
    const only = { ...policy.platform, generations: ["turin" as const] };
    await refuses(() => checkGenerationAllowed(claims, only), "generation-not-allowed");
  }
});

test("no byte of the signed part, and none of the signature, can be another", { skip }, async () => {
  for (const name of ["milan-v2-vcek-virtee", "milan-v3-vcek-dstack"]) {
    const { report, certificates } = evidenceOf(name);
    let accepted = 0;
    for (let index = 0; index < report.length; index += 1) {
      const flipped = patched(report, index, (report[index] ?? 0) ^ (1 << (index % 8)));
      if (!(await isRefused({ report: flipped, certificates }))) accepted += 1;
    }
    assert.equal(accepted, 0, name);
  }
});

test("no byte of the certificate table can be another, beside those of the leaf", { skip }, async () => {
  const { report, certificates } = evidenceOf("genoa-v3-vcek-azure-coco");
  let accepted = 0;
  const { vek } = parseCertificateTable(certificates);
  const leaf = { start: 96, end: 96 + vek.length };
  for (let index = 0; index < certificates.length; index += 1) {
    if (index === leaf.start) index = leaf.end;
    const flipped = patched(certificates, index, (certificates[index] ?? 0) ^ (1 << (index % 8)));
    if (!(await isRefused({ report, certificates: flipped }))) accepted += 1;
  }
  assert.equal(accepted, 0);
});

test("the conjugate signature is also valid, so nothing is keyed by a report's bytes", { skip }, async () => {
  const { report, certificates } = evidenceOf("milan-v3-vcek-dstack");
  const order = BigInt(
    "0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
  );
  const s = BigInt(`0x${encodeHex(report.slice(0x2e8, 0x318).reverse())}`);
  const conjugate = decodeHex((order - s).toString(16).padStart(96, "0")).reverse();
  const claims = await verify({ report: patched(report, 0x2e8, ...conjugate), certificates });
  assert.deepEqual(claims.report.signed, report.slice(0, 0x2a0));
});

test("a report with another chip's key, or another report's signature", { skip }, async () => {
  const [ours, other] = [evidenceOf("milan-v2-vcek-virtee"), evidenceOf("milan-v2-vcek-coco")];
  await refuses(() => verify({ report: ours.report, certificates: other.certificates }), "bad-signature");
  const stolen = patched(ours.report, 0x2a0, ...other.report.slice(0x2a0));
  await refuses(() => verify({ report: stolen, certificates: ours.certificates }), "bad-signature");
  const genoa = evidenceOf("genoa-v3-vcek-azure-coco").certificates;
  await refuses(() => verify({ report: ours.report, certificates: genoa }), "bad-signature");
});

test("certificates in each other's place", { skip }, async () => {
  const { report, certificates } = evidenceOf("milan-v2-vcek-virtee");
  const good = parseCertificateTable(certificates);
  const [milan, loaded, genoa, turin] = [
    authorities("milan"),
    authorities("milan", "vlek"),
    authorities("genoa"),
    authorities("turin"),
  ];
  const confused = [
    [{ ask: genoa.ask }, "bad-chain"],
    [{ ark: genoa.ark }, "bad-chain"],
    [{ ...genoa }, "bad-chain"],
    [{ ...turin }, "bad-chain"],
    [{ ask: loaded.ask }, "bad-chain"],
    [{ kind: "vlek", ask: loaded.ask }, "bad-chain"],
    [{ kind: "vlek" }, "certificate-kind-mismatch"],
    [{ ask: milan.ark }, "bad-chain"],
    [{ ark: milan.ask }, "untrusted-root"],
    [{ ark: good.vek }, "untrusted-root"],
    [{ vek: milan.ask, ask: milan.ark }, "bad-certificate"],
    [{ vek: milan.ark, ask: milan.ark }, "bad-certificate"],
    [{ ask: good.vek }, "bad-chain"],
    [{ vek: readVector("snp", "invalid-certs", "coco_vcek_invalid_legacy.der") }, "bad-chain"],
    [{ vek: readVector("snp", "invalid-certs", "coco_vcek_invalid_new.der") }, "bad-chain"],
    [{ vek: readVector("snp", "invalid-certs", "turin_vcek_virtee.der") }, "bad-chain"],
    [{ vek: new Uint8Array([1]) }, "malformed"],
  ] as const;
  for (const [change, code] of confused) {
    const table = serializeCertificateTable({ ...good, ...change });
    await refuses(() => verify({ report, certificates: table }), code);
  }
});

test("a real Turin key in AMD's chain, with its short chip identifier", { skip }, async () => {
  const vek = readVector("snp", "invalid-certs", "turin_vcek_virtee.der");
  const table = serializeCertificateTable({ kind: "vcek", vek, ...authorities("turin") });
  const endorsement = await verifyEndorsement(table, amdRoots, nowMs);
  assert.equal(endorsement.generation, "turin");
  assert.equal(endorsement.hardwareId, "1e550a8ee5cf9f4d".padEnd(128, "0"));
  assert.deepEqual(endorsement.tcb, { fmc: 0, bootLoader: 0, tee: 0, snp: 0, microcode: 9 });
  const { report } = evidenceOf("milan-v3-vcek-dstack");
  await refuses(() => verify({ report, certificates: table }), "bad-signature");
});

test("a key is good from its first moment to its last, also when its chain is known", { skip }, async () => {
  const evidence = evidenceOf("milan-v3-vcek-dstack");
  await verify(evidence);
  await refuses(() => verify(evidence, Date.UTC(2026, 5, 16)), "certificate-not-yet-valid");
  await refuses(() => verify(evidence, Date.UTC(2033, 5, 18)), "certificate-expired");
  await refuses(() => verify(evidence, Number.NaN), "certificate-expired");
  const vek = parseCertificate(parseCertificateTable(evidence.certificates).vek);
  for (const at of [vek.notBefore, vek.notAfter]) await verify(evidence, at);
  await refuses(() => verify(evidence, vek.notBefore - 1), "certificate-not-yet-valid");
  await refuses(() => verify(evidence, vek.notAfter + 1), "certificate-expired");
  assert.ok(vek.notAfter - vek.notBefore > 6 * 365 * dayMs);
});

test("AMD's published authorities hold together, and none is revoked", { skip }, async () => {
  const prefixes = { milan: "69d063b45344d26a", genoa: "4c6598d19c18719c", turin: "1f084161a44bb6d9" };
  for (const generation of generations) {
    for (const kind of ["vcek", "vlek"] as const) {
      const { ask, ark } = authorities(generation, kind);
      assert.ok(encodeHex(sha256(ark)).startsWith(prefixes[generation]));
      const [root, authority] = [parseCertificate(ark), parseCertificate(ask)];
      const key = await importIssuerKey(root);
      await verifyIssuedBy(root, root, key);
      await verifyIssuedBy(authority, root, key);
      assert.ok(root.isAuthority && authority.isAuthority);
      assert.equal(isRevoked(generation, authority.serial), false);
      // A pinned root with nobody's leaf below: the leaf is what fails.
      const table = serializeCertificateTable({ kind, vek: ask, ask, ark });
      await refuses(() => verifyEndorsement(table, amdRoots, nowMs), "bad-chain");
    }
  }
});

test("what AMD's revocation lists name is refused here", { skip }, () => {
  for (const generation of ["milan", "genoa"] as const) {
    const text = decodeUtf8(readVector("snp", "crl", `${generation}.crl.pem`));
    const [list] = parsePem(text, "X509 CRL", 1);
    assert.ok(list);
    const hex = encodeHex(list);
    for (const serial of revokedAuthorities[generation]) assert.ok(hex.includes(`0203${serial}`));
    // An entry is a serial number and a date; the lists are short enough to count them.
    const entries = hex.match(/0203[0-9a-f]{6}170d/g) ?? [];
    assert.equal(entries.length, revokedAuthorities[generation].length);
  }
  assert.ok(isRevoked("genoa", "020001"));
  assert.ok(!isRevoked("milan", "020001"));
});

test("Azure's reports are about the paravisor's data, not about anybody's session", { skip }, async () => {
  const blob = readVector("snp", "azure-hcl", "hcl-report-milan-coco.bin");
  const size = new DataView(blob.buffer, blob.byteOffset).getUint32(1232, true);
  const claims = await verify(evidenceOf("milan-v2-vcek-azure-coco"));
  assert.deepEqual(blob.slice(32, 32 + 1184), evidenceOf("milan-v2-vcek-azure-coco").report);
  assert.deepEqual(claims.report.reportData.slice(0, 32), sha256(blob.slice(1236, 1236 + size)));
  assert.deepEqual(claims.report.reportData.slice(32), new Uint8Array(32));
});

test("genuine evidence of another machine does not pass for a simulated one", { skip }, async () => {
  const statement = new Uint8Array([...new TextEncoder().encode(JSON.stringify(releaseOf("orchestrator")))]);
  const batch = { index: 0, size: 1, path: [] };
  const proof = await prove(statement);
  const bundle = {
    snp: evidenceOf("genoa-v3-vcek-azure-coco"),
    batch,
    statement,
    proof,
    layers: sandboxLayers,
    gpus: [],
    peers: [],
  };
  const { verdict, error } = await appraiseNode({
    bundle,
    binding: bindingOf("orchestrator"),
    policy,
    nowMs,
  });
  assert.equal(error?.code, "untrusted-root");
  assert.equal(verdict.overall, "refused");
});
