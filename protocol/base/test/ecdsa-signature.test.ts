import assert from "node:assert/strict";
import { generateKeyPairSync, sign, verify } from "node:crypto";
import { test } from "node:test";
import { concatBytes, EncodingError, type EncodingErrorCode, parseEcdsaSignature } from "../src/index.ts";

const integer = (...bytes: readonly number[]) => Uint8Array.of(2, bytes.length, ...bytes);
const sequence = (...parts: readonly Uint8Array[]) => {
  const content = concatBytes(...parts);
  return concatBytes(Uint8Array.of(0x30, content.length), content);
};
const read = (der: Uint8Array) => parseEcdsaSignature(der, 32);

function refuses(code: EncodingErrorCode, der: Uint8Array): void {
  assert.throws(
    () => read(der),
    (error: unknown) => error instanceof EncodingError && error.code === code,
    Buffer.from(der).toString("hex"),
  );
}

test("what openssl signs is the same number twice: as DER, and as WebCrypto takes it", () => {
  const data = new Uint8Array(10);
  for (const [namedCurve, length] of [
    ["P-256", 32],
    ["P-384", 48],
    ["P-521", 66],
  ] as const) {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve });
    for (let count = 0; count < 20; count += 1) {
      const signature = parseEcdsaSignature(new Uint8Array(sign("sha256", data, privateKey)), length);
      assert.equal(signature.length, 2 * length);
      const key = { key: publicKey, dsaEncoding: "ieee-p1363" } as const;
      assert.ok(verify("sha256", data, key, signature));
    }
  }
});

test("short numbers are padded, and a zero is only there to keep a number positive", () => {
  const expected = new Uint8Array(64);
  expected.set([1], 31);
  expected.set([0x80], 63);
  assert.deepEqual(read(sequence(integer(1), integer(0, 0x80))), expected);
  const largest = new Uint8Array(32).fill(0xff);
  assert.deepEqual(
    read(sequence(integer(0, ...largest), integer(0, ...largest))),
    concatBytes(largest, largest),
  );
});

test("every other form is refused", () => {
  const one = integer(1);
  refuses("out-of-range", sequence(integer(0), one));
  refuses("out-of-range", sequence(one, integer(0)));
  refuses("out-of-range", sequence(one, integer()));
  refuses("out-of-range", sequence(one, integer(0x80)));
  refuses("out-of-range", sequence(one, integer(...new Uint8Array(33).fill(1))));
  refuses("not-canonical", sequence(integer(0, 1), one));
  refuses("not-canonical", sequence(integer(0, 0x7f), one));
  refuses("trailing-bytes", sequence(one, one, one));
  refuses("trailing-bytes", concatBytes(sequence(one, one), Uint8Array.of(0)));
  refuses("truncated", sequence(one));
  refuses("truncated", new Uint8Array());
  refuses("bad-encoding", sequence(one, Uint8Array.of(3, 1, 1)));
  refuses("bad-encoding", concatBytes(Uint8Array.of(0x31), sequence(one, one).subarray(1)));
  refuses("not-canonical", concatBytes(Uint8Array.of(0x30, 0x81), sequence(one, one).subarray(1)));
});
