// The software TEE's half of attestation: what it makes is what AMD's form says, and nobody takes it for AMD's.
import assert from "node:assert/strict";
import { createHash, createPrivateKey, verify, X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  AttestationError,
  type AttestationErrorCode,
  amdRoots,
  parseCertificateTable,
  type SnpEvidence,
  verifySimulatedEvidence,
  verifySnpEvidence,
} from "@sotto/attestation";
import {
  createReportSigner,
  createSimulatedAuthority,
  issueSimulatedChip,
  measureImage,
  parseSimulatedChip,
  parseSimulatedRoot,
  type ReportOverrides,
  type SimulatedChip,
  serializeSimulatedChip,
  serializeTcb,
  simulatedTcb,
} from "@sotto/attestation/software";
import { type Bytes, DerReader, encodeHex, parseObjectIdentifier, systemRandom } from "@sotto/base";
import fc from "fast-check";
import { parseCertificate } from "../src/certificate.ts";
import { der } from "../src/software/der-writer.ts";

const vectors =
  process.env.SOTTO_VECTORS ?? join(import.meta.dirname, "..", "..", "..", "..", "shared", "vectors");
const nowMs = Date.UTC(2026, 10, 24);
const dayMs = 86_400_000;
const measurement = "ab".repeat(48);
const reportData = systemRandom(64);
const authority = await createSimulatedAuthority(nowMs, systemRandom);
const chip = await issueSimulatedChip(authority, nowMs, systemRandom);
const roots = parseSimulatedRoot(authority.ark);

async function evidenceOf(of: SimulatedChip, overrides: ReportOverrides = {}): Promise<SnpEvidence> {
  const signer = await createReportSigner(of, measurement);
  return { report: await signer.sign(reportData, overrides), certificates: of.certificates };
}

async function refuses(evidence: SnpEvidence, code: AttestationErrorCode, at = nowMs): Promise<void> {
  await assert.rejects(
    verifySimulatedEvidence(evidence, roots, at),
    (error: unknown) => error instanceof AttestationError && error.code === code,
    code,
  );
}

test("the chain holds for node's own x509, and every subject says what it is", () => {
  const table = parseCertificateTable(chip.certificates);
  const [ark, ask, vek] = [table.ark, table.ask, table.vek].map((bytes) => new X509Certificate(bytes));
  assert.ok(ark && ask && vek);
  assert.ok(ark.verify(ark.publicKey) && ask.verify(ark.publicKey) && vek.verify(ask.publicKey));
  assert.ok(ask.checkIssued(ark) && vek.checkIssued(ask));
  assert.ok(ark.ca && ask.ca && !vek.ca);
  for (const { subject } of [ark, ask, vek]) assert.match(subject, /SIMULATED - NOT AMD/);
  assert.equal(ark.publicKey.asymmetricKeyDetails?.modulusLength, 4096);
  assert.equal(vek.publicKey.asymmetricKeyDetails?.namedCurve, "secp384r1");
  assert.equal(BigInt(`0x${vek.serialNumber}`), 0n);
});

const turin = join(vectors, "snp", "invalid-certs", "turin_vcek_virtee.der");
test("a VCEK has the extensions of a real Turin chip's, in the same order and form", {
  skip: existsSync(turin) ? false : "vectors not present",
}, () => {
  const real = parseCertificate(new Uint8Array(readFileSync(turin))).extensions;
  const ours = parseCertificate(parseCertificateTable(chip.certificates).vek).extensions;
  assert.deepEqual([...ours.keys()], [...real.keys()]);
  const shape = (extensions: ReadonlyMap<string, Bytes>) =>
    [...extensions.values()].map(({ length }) => length);
  assert.deepEqual(shape(ours), shape(real));
});

test("a report has every field where the hardware puts it, and its signature is the chip's", async () => {
  const { report, certificates } = await evidenceOf(chip);
  const at = (offset: number, length: number): string => encodeHex(report.subarray(offset, offset + length));
  assert.equal(report.length, 1184);
  assert.equal(at(0x000, 4), "05000000");
  assert.equal(at(0x008, 8), "3a01030000000000"); // ABI 1.58, SMT allowed, bit 17; no DEBUG, no MIGRATE_MA
  assert.equal(at(0x030, 4), "00000000");
  assert.equal(at(0x034, 4), "01000000");
  assert.equal(at(0x040, 8), "2500000000000000"); // SMT, ECC, alias check complete
  assert.equal(at(0x048, 8), "0000000000000000"); // signed with the VCEK
  assert.equal(at(0x050, 64), encodeHex(reportData));
  assert.equal(at(0x090, 48), measurement);
  assert.notEqual(at(0x140, 32), "00".repeat(32));
  assert.equal(at(0x160, 32), "ff".repeat(32));
  for (const offset of [0x038, 0x180, 0x1e0, 0x1f0]) assert.equal(at(offset, 8), "0101010400000050");
  assert.equal(at(0x188, 3), "1a0201");
  assert.equal(at(0x1a0, 64), encodeHex(chip.hardwareId).padEnd(128, "0"));
  for (const [offset, length] of [
    [0x18b, 21],
    [0x208, 152],
    [0x2d0, 24],
    [0x318, 24],
    [0x330, 368],
  ] as const) {
    assert.equal(at(offset, length), "00".repeat(length));
  }
  const signature = Buffer.concat([
    report.slice(0x2a0, 0x2d0).reverse(),
    report.slice(0x2e8, 0x318).reverse(),
  ]);
  const key = new X509Certificate(parseCertificateTable(certificates).vek).publicKey;
  assert.ok(verify("sha384", report.subarray(0, 0x2a0), { key, dsaEncoding: "ieee-p1363" }, signature));
});

test("evidence verifies as simulated under its own root, and under no other", async () => {
  const evidence = await evidenceOf(chip);
  const claims = await verifySimulatedEvidence(evidence, roots, nowMs);
  assert.equal(claims.origin, "simulated");
  assert.equal(claims.report.measurement, measurement);
  assert.deepEqual(claims.tcb.launch, simulatedTcb);
  const untrusted = { code: "untrusted-root" };
  await assert.rejects(verifySnpEvidence(evidence, amdRoots, nowMs), untrusted);
  const other = parseSimulatedRoot(parseCertificateTable(chip.certificates).ask);
  await assert.rejects(verifySimulatedEvidence(evidence, other, nowMs), untrusted);
});

test("what is overridden makes evidence that is refused for just that", async () => {
  const other = await issueSimulatedChip(authority, nowMs, systemRandom);
  const oldTcb = { ...simulatedTcb, snp: 3 };
  await refuses(await evidenceOf({ ...chip, signingKey: other.signingKey }), "bad-signature");
  await refuses(await evidenceOf({ ...chip, certificates: other.certificates }), "bad-signature");
  await refuses(await evidenceOf(chip, { reportedTcb: serializeTcb(oldTcb, "turin") }), "tcb-mismatch");
  await refuses(await evidenceOf(chip, { chipId: other.hardwareId }), "chip-mismatch");
  await refuses(await evidenceOf(chip, { cpuFamily: Uint8Array.of(0x19) }), "generation-mismatch");
  await refuses(await evidenceOf(chip, { keyInfo: Uint8Array.of(1 << 2) }), "signing-key-mismatch");
  await refuses(await evidenceOf(chip, { version: Uint8Array.of(6) }), "unsupported-version");
  await refuses(await evidenceOf(chip, { reserved3: Uint8Array.of(1) }), "reserved-not-zero");
  await refuses(await evidenceOf(chip, { reserved6: Uint8Array.of(1) }), "reserved-not-zero");
  await refuses(await evidenceOf(chip, { signatureR: new Uint8Array(72) }), "signature-out-of-range");
  await assert.rejects(evidenceOf(chip, { policy: new Uint8Array(9) }), AttestationError);
});

test("chips can be made that no verifier takes", async () => {
  const issue = async (options: Parameters<typeof issueSimulatedChip>[3]) =>
    evidenceOf(await issueSimulatedChip(authority, nowMs, systemRandom, options));
  const without = (id: string) => ({
    extensions: (standard: readonly { id: string; content: Bytes }[]) =>
      standard.filter((one) => one.id !== id),
  });
  await refuses(await issue({ notAfter: nowMs - 1000 }), "certificate-expired");
  await refuses(await issue({ notBefore: nowMs + dayMs }), "certificate-not-yet-valid");
  await refuses(await issue(without("1.3.6.1.4.1.3704.1.4")), "extension-missing");
  await refuses(await issue(without("1.3.6.1.4.1.3704.1.3.3")), "extension-missing");
  await refuses(await issue({ extensions: (all) => [...all, ...all.slice(-1)] }), "extension-repeated");
  await refuses(await issue({ hardwareId: systemRandom(64) }), "hardware-id-malformed");
  await refuses(await issue({ kind: "vlek" }), "certificate-kind-mismatch");
  const leased = { id: "1.3.6.1.4.1.3704.1.5", content: der.utf8String("CN=cloud.example") };
  const vlek = await issue({ kind: "vlek", extensions: (all) => [...all.slice(0, -1), leased] });
  await refuses(vlek, "signing-key-mismatch");
  await refuses(await issue({ signing: { saltLength: 20 } }), "unsupported-algorithm");
  await refuses(await issue({ signing: { hash: "SHA-256" } }), "unsupported-algorithm");
});

test("a chip survives its state folder, and anything else there is refused", async () => {
  const text = serializeSimulatedChip(chip);
  assert.deepEqual(parseSimulatedChip(text), chip);
  await verifySimulatedEvidence(await evidenceOf(parseSimulatedChip(text)), roots, nowMs);
  const refused = (bad: string): void => assert.throws(() => parseSimulatedChip(bad), AttestationError);
  for (const length of [0, 1, text.length >> 1, text.length - 1]) refused(text.slice(0, length));
  refused(text.replace('"snp":4', '"snp":256'));
  refused(text.replace('"tcb":', '"tcp":'));
  refused(text.replace('"ark":"', '"ark":"*'));
  fc.assert(fc.property(fc.json(), (json) => refused(json)));
});

test("the launch digest chains PAGE_INFO over pages that end at 4 GiB", () => {
  const image = systemRandom(4096 + 100);
  const sha384 = (...parts: Uint8Array[]) => createHash("sha384").update(Buffer.concat(parts)).digest();
  let digest: Buffer = Buffer.alloc(48);
  for (const [index, address] of [0xffffe000n, 0xfffff000n].entries()) {
    const page = Buffer.alloc(4096);
    page.set(image.subarray(index * 4096, (index + 1) * 4096));
    const tail = Buffer.from("70000100000000000000000000000000", "hex"); // length, type, flags, then the address
    tail.writeBigUInt64LE(address, 8);
    digest = sha384(digest, sha384(page), tail);
  }
  assert.equal(encodeHex(measureImage(image)), digest.toString("hex"));
  assert.notEqual(encodeHex(measureImage(image.subarray(0, 4096))), digest.toString("hex"));
});

test("what the DER writer writes, the strict reader reads", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 200n }), (number) => {
      const content = new DerReader(der.sequence(der.integer(number))).nested().element(0x02).content;
      assert.equal(BigInt(`0x${encodeHex(content)}`), number);
    }),
  );
  for (const length of [0, 0x7f, 0x80, 0xff, 0x100, 0xffff]) {
    const content = new Uint8Array(length).fill(7);
    assert.deepEqual(new DerReader(der.octetString(content)).element(0x04).content, content);
  }
  assert.throws(() => der.octetString(new Uint8Array(0x10000)), { code: "out-of-range" });
  for (const id of ["2.5.29.19", "1.3.6.1.4.1.3704.1.3.9", "2.16.840.1.101.3.4.2.2"]) {
    assert.equal(parseObjectIdentifier(new DerReader(der.objectIdentifier(id)).element().content), id);
  }
  const text = (ms: number) => Buffer.from(new DerReader(der.time(ms)).element().content).toString();
  assert.equal(text(Date.UTC(2049, 11, 31, 23, 59, 59)), "491231235959Z");
  assert.equal(text(Date.UTC(2050, 0, 1)), "20500101000000Z");
  assert.throws(() => der.integer(-1n), { code: "out-of-range" });
});

test("a signing key is a plain PKCS #8 key on P-384", () => {
  const key = createPrivateKey({ key: Buffer.from(chip.signingKey), format: "der", type: "pkcs8" });
  assert.equal(key.asymmetricKeyDetails?.namedCurve, "secp384r1");
});
