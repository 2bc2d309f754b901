// The report's form: every field that must be zero, every number that must be known.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AttestationError, generationOf, parseSnpReport, reportField, reportSize } from "@sotto/attestation";
import { createReportSigner } from "@sotto/attestation/software";
import { type Bytes, decodeHex, encodeHex, systemRandom } from "@sotto/base";
import fc from "fast-check";
import { parseTcb } from "../src/snp/report.ts";
import { chip, le, patched, refuses } from "./stage.ts";

const signer = await createReportSigner(chip, "ab".repeat(48));
const good = await signer.sign(systemRandom(64));
const order =
  "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973";

type Field = keyof typeof reportField;

function withField(name: Field, value: Bytes, from: Bytes = good): Bytes {
  const report = from.slice();
  report.set(value, reportField[name].offset);
  return report;
}

/** The same report in the form of another version. */
function asVersion(version: 2 | 3 | 4 | 5, cpu: readonly [number, number]): Bytes {
  const report = withField("version", le(4, version));
  return patched(report, reportField.cpuFamily.offset, ...cpu);
}

test("a good report says what it says", () => {
  const report = parseSnpReport(good);
  assert.equal(report.version, 5);
  assert.equal(report.generation, "turin");
  assert.equal(report.signedBy, "vcek");
  assert.equal(report.vmpl, 0);
  assert.equal(report.currentVersion, "1.58.40");
  assert.equal(report.measurement, "ab".repeat(48));
  assert.equal(report.signature.length, 96);
  assert.deepEqual(report.signed, good.slice(0, 0x2a0));
});

test("the fields of the layout cover the report once", () => {
  const fields = Object.values(reportField).sort((a, b) => a.offset - b.offset);
  let end = 0;
  for (const { offset, length } of fields) {
    assert.equal(offset, end);
    end = offset + length;
  }
  assert.equal(end, reportSize);
});

test("another length is refused", async () => {
  for (let length = 0; length < reportSize; length += 1)
    assert.throws(() => parseSnpReport(good.slice(0, length)), { code: "malformed" });
  await refuses(() => parseSnpReport(new Uint8Array([...good, 0])), "malformed");
});

test("versions 2 to 5 are read, others are not", async () => {
  for (const version of [3, 4, 5] as const)
    assert.equal(parseSnpReport(asVersion(version, [0x19, 0x11])).generation, "genoa");
  assert.equal(parseSnpReport(asVersion(2, [0, 0]).fill(0, 0x18a, 0x18b)).generation, undefined);
  for (const version of [0, 1, 6, 7, 255, 256 + 3, 0xffffffff])
    await refuses(() => parseSnpReport(withField("version", le(4, version))), "unsupported-version");
});

test("every byte that must be zero, each by itself", () => {
  const reserved = ["reserved1", "reserved2", "reserved3", "reserved4", "reserved5", "reserved6"] as const;
  let count = 0;
  for (const name of reserved) {
    const { offset, length } = reportField[name];
    for (let index = offset; index < offset + length; index += 1) {
      for (const bit of [1, 0x80])
        assert.throws(() => parseSnpReport(patched(good, index, bit)), { code: "reserved-not-zero" });
      count += 1;
    }
  }
  assert.equal(count, 4 + 21 + 1 + 1 + 152 + 368);
});

test("fields of later versions must be zero in earlier ones", async () => {
  const second = asVersion(2, [0, 0]).fill(0, 0x18a, 0x18b);
  parseSnpReport(second);
  for (const offset of [0x188, 0x189, 0x18a])
    await refuses(() => parseSnpReport(patched(second, offset, 1)), "reserved-not-zero");
  for (const name of ["launchMitigations", "currentMitigations"] as const) {
    const { offset, length } = reportField[name];
    for (let index = offset; index < offset + length; index += 1) {
      for (const version of [3, 4] as const)
        await refuses(
          () => parseSnpReport(patched(asVersion(version, [0x1a, 2]), index, 1)),
          "reserved-not-zero",
        );
      parseSnpReport(patched(good, index, 1));
    }
  }
});

test("algorithm, signing key and processor must be known ones", async () => {
  for (const algorithm of [0, 2, 3, 0x101, 0xffffffff])
    await refuses(
      () => parseSnpReport(withField("signatureAlgorithm", le(4, algorithm))),
      "unsupported-algorithm",
    );
  const signers = new Map<number, string>([
    [0, "vcek"],
    [1, "vlek"],
    [7, "none"],
  ]);
  for (let kind = 0; kind < 8; kind += 1) {
    const report = withField("keyInfo", le(4, (kind << 2) | 3));
    const known = signers.get(kind);
    if (known === undefined) await refuses(() => parseSnpReport(report), "unknown-signing-key");
    else assert.equal(parseSnpReport(report).signedBy, known);
  }
  for (let bit = 5; bit < 32; bit += 1)
    await refuses(() => parseSnpReport(withField("keyInfo", le(4, 2 ** bit))), "unknown-signing-key");
  for (const cpu of [
    [0x17, 0],
    [0x19, 0x20],
    [0x1a, 0x12],
    [0x1b, 0],
    [0, 0],
  ] as const)
    await refuses(() => parseSnpReport(asVersion(5, cpu)), "unknown-processor");
});

test("generations by family and model, at their borders", () => {
  const models = (family: number, generation: string): number[] =>
    Array.from({ length: 256 }, (_, model) => model).filter(
      (model) => generationOf(family, model) === generation,
    );
  const range = (first: number, last: number): number[] =>
    Array.from({ length: last - first + 1 }, (_, index) => first + index);
  assert.deepEqual(models(0x19, "milan"), range(0, 0x0f));
  assert.deepEqual(models(0x19, "genoa"), [...range(0x10, 0x1f), ...range(0xa0, 0xaf)]);
  assert.deepEqual(models(0x1a, "turin"), range(0, 0x11));
  assert.deepEqual([...models(0x1a, "milan"), ...models(0x1a, "genoa"), ...models(0x19, "turin")], []);
});

test("unknown policy bits are refused, unknown platform bits are not", async () => {
  const base = 1n << 17n;
  for (let bit = 0n; bit < 64n; bit += 1n) {
    const report = withField("policy", le(8, base | (1n << bit)));
    if (bit < 26n) parseSnpReport(report);
    else await refuses(() => parseSnpReport(report), "unknown-policy-bits");
    assert.equal(parseSnpReport(withField("platformInfo", le(8, 1n << bit))).platformInfo, 1n << bit);
  }
  await refuses(() => parseSnpReport(withField("policy", le(8, 0x1013an))), "unknown-policy-bits");
});

test("r and s are numbers of the curve, and nothing stands above them", async () => {
  for (const name of ["signatureR", "signatureS"] as const) {
    for (let index = 48; index < 72; index += 1)
      await refuses(
        () => parseSnpReport(patched(good, reportField[name].offset + index, 1)),
        "signature-out-of-range",
      );
    const set = (hex: string) => parseSnpReport(withField(name, decodeHex(hex).reverse()));
    const beside = (by: bigint) => (BigInt(`0x${order}`) + by).toString(16);
    for (const hex of ["00".repeat(48), order, beside(1n), "ff".repeat(48)])
      await refuses(() => set(hex), "signature-out-of-range");
    set(beside(-1n));
    set(`${"00".repeat(47)}01`);
  }
});

test("a TCB is read in the layout of its generation; bytes without a meaning are zero there", async () => {
  const raw = Uint8Array.of(1, 2, 0, 0, 0, 0, 7, 8);
  const milan = { fmc: 0, bootLoader: 1, tee: 2, snp: 7, microcode: 8 };
  assert.deepEqual(parseTcb(raw, "milan"), milan);
  assert.deepEqual(parseTcb(raw, "genoa"), milan);
  await refuses(() => parseTcb(raw, "turin"), "reserved-not-zero");
  const turin = Uint8Array.of(1, 2, 3, 4, 0, 0, 0, 8);
  assert.deepEqual(parseTcb(turin, "turin"), { fmc: 1, bootLoader: 2, tee: 3, snp: 4, microcode: 8 });
  for (const generation of ["milan", "genoa"] as const)
    await refuses(() => parseTcb(turin, generation), "reserved-not-zero");
});

test("any bytes are read or refused, never anything else", () => {
  const attempt = (bytes: Uint8Array): void => {
    try {
      assert.equal(encodeHex(parseSnpReport(bytes).signed), encodeHex(bytes.slice(0, 0x2a0)));
    } catch (error) {
      assert.ok(error instanceof AttestationError);
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1300 }), attempt));
  fc.assert(fc.property(fc.uint8Array({ minLength: reportSize, maxLength: reportSize }), attempt));
  for (let index = 0; index < reportSize; index += 1)
    attempt(patched(good, index, (good[index] ?? 0) ^ 0xff));
});
