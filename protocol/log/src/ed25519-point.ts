// Which encodings of points a signature may have. Platforms differ in what they refuse by themselves: Node's OpenSSL
// all of these, Chromium's BoringSSL none.
import { encodeHex } from "@sotto/base";

// y of the points whose order divides 8, without the sign of x (RFC 8032 Section 5.1), little-endian.
const smallOrder: ReadonlySet<string> = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
]);

/** Whether 32 bytes are neither a second encoding of a point nor a point of small order. */
export function isStrictPoint(encoding: Uint8Array): boolean {
  const y = new Uint8Array(encoding);
  y[31] = (y[31] ?? 0) & 0x7f;
  // The prime is 2^255 - 19.
  const isReduced = (y[0] ?? 0) < 0xed || y[31] !== 0x7f || y.subarray(1, 31).some((byte) => byte !== 0xff);
  return isReduced && !smallOrder.has(encodeHex(y));
}
