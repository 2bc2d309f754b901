// Session certificates: what we write, and the one form that clients read. Numbers are rows of the list of audit findings.
import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { type Bytes, concatBytes, sha256, systemRandom } from "@sotto/base";
import { createSessionCertificate } from "../src/certificate.node.ts";
import { judgeSessionCertificate } from "../src/certificate.ts";
import { maxCertificateBytes } from "../src/profile.ts";
import { RatlsError } from "../src/ratls-error.ts";
import { badCertificates, hourMs, selfSigned } from "./certificates.ts";
import { goodCertificate } from "./peer.ts";

const derOf = (pem: string): Bytes => new Uint8Array(new X509Certificate(pem).raw);

/** Judges a certificate, its signature too. */
async function judge(der: Uint8Array, nowMs: number = Date.now()): Promise<Bytes> {
  const { spkiDigest, verifySelfSignature } = judgeSessionCertificate(der, nowMs);
  await verifySelfSignature();
  return spkiDigest;
}

test("32, 34: a certificate is of P-256, valid for an hour at most and now, and signed by itself", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const good = derOf(selfSigned(publicKey, privateKey, Date.now(), Date.now() + hourMs).cert);
  const spki = new Uint8Array(publicKey.export({ type: "spki", format: "der" }));
  assert.deepEqual(judgeSessionCertificate(good, Date.now()).spki, spki);
  assert.deepEqual(await judge(good), sha256(spki));
  for (const { why, pair } of badCertificates()) {
    const message = `session certificate: ${why}`;
    await assert.rejects(judge(derOf(pair.cert)), { code: "bad-certificate", message });
  }
  for (const namedCurve of ["P-384", "secp256k1"]) {
    const keys = generateKeyPairSync("ec", { namedCurve });
    const message = "session certificate: key is not on p-256";
    await assert.rejects(judge(derOf(selfSigned(keys.publicKey, keys.privateKey).cert)), { message });
  }
});

test("35: a certificate is good for the time in it, with five minutes for clocks that differ", async () => {
  const now = Date.UTC(2026, 10, 25, 12);
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const der = derOf(selfSigned(publicKey, privateKey, now, now + hourMs).cert);
  const skew = 5 * 60_000;
  for (const at of [now - skew, now, now + hourMs, now + hourMs + skew]) await judge(der, at);
  for (const at of [now - skew - 1, now + hourMs + skew + 1, 0, Number.MAX_SAFE_INTEGER]) {
    await assert.rejects(judge(der, at), { code: "bad-certificate" });
  }
});

test("each session has a key and a serial of its own, and openssl agrees with what we write", () => {
  const made = [goodCertificate(), goodCertificate()];
  const [left, right] = made.map(({ certificate }) => new X509Certificate(certificate));
  assert.ok(left !== undefined && right !== undefined);
  assert.notEqual(left.serialNumber, right.serialNumber);
  assert.notDeepEqual(made[0]?.spkiDigest, made[1]?.spkiDigest);
  assert.notEqual(made[0]?.key, made[1]?.key);
  for (const certificate of [left, right]) {
    assert.equal(certificate.subject, "CN=sotto");
    assert.equal(certificate.issuer, "CN=sotto");
    assert.ok(certificate.verify(certificate.publicKey));
    assert.ok(certificate.validToDate.getTime() - certificate.validFromDate.getTime() <= hourMs);
  }
  assert.deepEqual(
    made[0]?.spkiDigest,
    sha256(new Uint8Array(left.publicKey.export({ type: "spki", format: "der" }))),
  );
  const short = () => new Uint8Array(8); // even for a serial of zeros the encoding is minimal
  const { certificate } = createSessionCertificate(Date.UTC(2030, 0, 1), short);
  assert.equal(new X509Certificate(certificate).serialNumber, "4000000000000000");
});

test("any byte changed, missing or added makes a certificate a refused one, and nothing else", async () => {
  const der = derOf(goodCertificate().certificate);
  const isRefused = (error: unknown): boolean => {
    assert.ok(error instanceof RatlsError && error.code === "bad-certificate", String(error));
    return true;
  };
  for (let length = 0; length < der.length; length += 1) {
    await assert.rejects(judge(der.subarray(0, length)), isRefused);
  }
  await assert.rejects(judge(concatBytes(der, Uint8Array.of(0))), isRefused);
  await assert.rejects(judge(new Uint8Array(maxCertificateBytes + 1)), isRefused);
  for (let index = 0; index < der.length; index += 1) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const changed = der.slice();
      changed[index] = (changed[index] ?? 0) ^ flip;
      await assert.rejects(judge(changed), isRefused, `byte ${index}`);
    }
  }
});

/** An element of DER with a short length. */
const element = (tag: number, ...parts: readonly Uint8Array[]): Bytes => {
  const content = concatBytes(...parts);
  const length = content.length < 0x80 ? [content.length] : [0x81, content.length];
  return concatBytes(Uint8Array.of(tag, ...length), content);
};

test("a certificate has one form: version 3, a positive serial, one name, no extensions", async () => {
  const now = Date.now();
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = new Uint8Array(publicKey.export({ type: "spki", format: "der" }));
  const algorithm = element(0x30, element(0x06, Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2)));
  const time = (ms: number) => {
    const text = new Date(ms).toISOString().replace(/\.\d+Z$|[-:T]/g, "");
    return element(0x18, new TextEncoder().encode(`${text}Z`));
  };
  const parts = {
    version: element(0xa0, Uint8Array.of(2, 1, 2)),
    serial: element(0x02, Uint8Array.of(1)),
    inner: algorithm,
    issuer: element(0x30),
    validity: element(0x30, time(now), time(now + 60_000)),
    subject: element(0x30),
    spki,
    extensions: new Uint8Array(),
    outer: algorithm,
    bits: element(
      0x03,
      Uint8Array.of(0),
      element(0x30, element(2, Uint8Array.of(1)), element(2, Uint8Array.of(1))),
    ),
    rest: new Uint8Array(),
  };
  const make = (given: Partial<typeof parts>): Bytes => {
    const { outer, bits, rest, ...inside } = { ...parts, ...given };
    return element(0x30, element(0x30, ...Object.values(inside)), outer, bits, rest);
  };
  judgeSessionCertificate(make({}), now);
  const integers = (left: readonly number[], right: readonly number[]) => ({
    bits: element(
      0x03,
      Uint8Array.of(0),
      element(0x30, element(2, Uint8Array.from(left)), element(2, Uint8Array.from(right))),
    ),
  });
  const serial = (...bytes: readonly number[]) => ({ serial: element(0x02, Uint8Array.from(bytes)) });
  const refused: readonly Partial<typeof parts>[] = [
    { version: element(0xa0, Uint8Array.of(2, 1, 1)) },
    { version: new Uint8Array() },
    serial(),
    serial(0),
    serial(0x80),
    serial(0, 1),
    serial(...new Uint8Array(21).fill(1)),
    { inner: element(0x30, element(0x06, Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3))) },
    { outer: element(0x30, element(0x06, Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3))) },
    { outer: element(0x30, element(0x06, Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2)), element(5)) },
    { issuer: element(0x30, element(0x31)) },
    { validity: element(0x30, time(now)) },
    { validity: element(0x30, time(now), time(now), time(now)) },
    { spki: concatBytes(spki.subarray(0, 26), Uint8Array.of(2), spki.subarray(27)) },
    { extensions: element(0xa3, element(0x30)) },
    { bits: element(0x03, Uint8Array.of(1), element(0x30)) },
    { bits: element(0x03, Uint8Array.of(0)) },
    integers([1], [0]),
    integers([0x80], [1]),
    integers([0, 1], [1]),
    integers([1], [...new Uint8Array(33).fill(1)]),
    { rest: element(5) },
  ];
  for (const [index, given] of refused.entries()) {
    const run = () => judgeSessionCertificate(make(given), now);
    assert.throws(run, { name: "RatlsError", code: "bad-certificate" }, `case ${index}`);
  }
  const wrongPoint = { spki: concatBytes(spki.subarray(0, 90), Uint8Array.of((spki[90] ?? 0) ^ 1)) };
  await assert.rejects(judge(make(wrongPoint), now), { code: "bad-certificate" });
});

test("bytes of any kind are a certificate or refused, nothing else", () => {
  for (let count = 0; count < 200; count += 1) {
    const bytes = systemRandom(count);
    if (count > 3) bytes.set([0x30, count - 2, 0x30, Math.floor(count / 2)]);
    assert.throws(() => judgeSessionCertificate(bytes, 0), { code: "bad-certificate" });
  }
});
