import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ByteReader,
  ByteWriter,
  CodedError,
  DerReader,
  decodeBase64,
  decodeBase64Url,
  decodeHex,
  encodeBase64,
  encodeBase64Url,
  encodeHex,
  encodeUtf8,
  equalBytes,
  parseCanonicalJson,
  parseObjectIdentifier,
  parsePem,
  serializeCanonicalJson,
  serializePem,
  sha256,
  sha384,
  sha512,
} from "@sotto/base";
import fc from "fast-check";
import { digest as browserDigest } from "../src/digest.browser.ts";

const bytes = () => fc.uint8Array({ maxLength: 200 });

test("hex, base64 and base64url agree with Node and round-trip", () => {
  fc.assert(
    fc.property(bytes(), (data) => {
      assert.equal(encodeHex(data), Buffer.from(data).toString("hex"));
      assert.equal(encodeBase64(data), Buffer.from(data).toString("base64"));
      assert.equal(encodeBase64Url(data), Buffer.from(data).toString("base64url"));
      assert.ok(equalBytes(decodeHex(encodeHex(data)), data));
      assert.ok(equalBytes(decodeBase64(encodeBase64(data)), data));
      assert.ok(equalBytes(decodeBase64Url(encodeBase64Url(data)), data));
    }),
  );
});

test("text that decodes re-encodes to itself, anything else is a coded error", () => {
  const decoders = [
    [decodeHex, encodeHex],
    [decodeBase64, encodeBase64],
    [decodeBase64Url, encodeBase64Url],
  ] as const;
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."AZaz09+/-_= \n") }), (text) => {
      for (const [decode, encode] of decoders) {
        try {
          assert.equal(encode(decode(text)), text);
        } catch (error) {
          assert.ok(error instanceof CodedError, String(error));
        }
      }
    }),
  );
  assert.throws(() => decodeBase64("QQ"), { code: "bad-encoding" });
  assert.throws(() => decodeBase64("QR=="), { code: "not-canonical" });
  assert.throws(() => decodeHex("AA"), { code: "bad-encoding" });
});

test("digests agree between the Node and the browser build", () => {
  const data = encodeUtf8("abc");
  assert.equal(encodeHex(sha256(data)).slice(0, 16), "ba7816bf8f01cfea");
  assert.ok(equalBytes(sha256(data), browserDigest("sha256", data)));
  assert.ok(equalBytes(sha384(data), browserDigest("sha384", data)));
  assert.ok(equalBytes(sha512(data), browserDigest("sha512", data)));
});

test("reader and writer round-trip and refuse to run past the end", () => {
  const written = new ByteWriter().u8(1).u16(2).u24(3).u32(4).u64(5n).vector(2, encodeUtf8("six")).finish();
  const reader = new ByteReader(written);
  assert.deepEqual([reader.u8(), reader.u16(), reader.u24(), reader.u32(), reader.u64()], [1, 2, 3, 4, 5n]);
  assert.ok(equalBytes(reader.vector(2, 3), encodeUtf8("six")));
  reader.end();
  assert.throws(() => reader.u8(), { code: "truncated" });
  assert.throws(() => new ByteReader(written).end(), { code: "trailing-bytes" });
  assert.throws(() => new ByteReader(encodeUtf8("\x00\x05hello")).vector(2, 4), { code: "too-large" });
  assert.throws(() => new ByteWriter().u8(256), { code: "out-of-range" });
});

test("variable-length integers take their shortest form", () => {
  const values = [0, 63, 64, 16383, 16384, 1073741823, 1073741824, Number.MAX_SAFE_INTEGER];
  const widths = [1, 1, 2, 2, 4, 4, 8, 8];
  for (const [index, value] of values.entries()) {
    const encoded = new ByteWriter().varint(value).finish();
    assert.equal(encoded.length, widths[index]);
    assert.equal(new ByteReader(encoded).varint(), value);
  }
  assert.throws(() => new ByteReader(decodeHex("ffffffffffffffff")).varint(), { code: "out-of-range" });
});

test("canonical JSON has one form", () => {
  const form = serializeCanonicalJson({ b: [1, "é\n"], a: { d: null, c: true } });
  assert.equal(new TextDecoder().decode(form), '{"a":{"c":true,"d":null},"b":[1,"é\\n"]}');
  assert.deepEqual(parseCanonicalJson(form, 100), { b: [1, "é\n"], a: { d: null, c: true } });
  const refused = [
    '{"b":1,"a":2}',
    '{"a":1,"a":1}',
    "[1.5]",
    "[1e3]",
    '{ "a":1}',
    '["\\u0041"]',
    "[-0]",
    "[1",
    "",
  ];
  for (const text of refused)
    assert.throws(() => parseCanonicalJson(encodeUtf8(text), 100), CodedError, text);
  assert.throws(() => parseCanonicalJson(form, 10), { code: "too-large" });
  assert.throws(() => parseCanonicalJson(encodeUtf8("[".repeat(40) + "]".repeat(40)), 100), CodedError);
});

test("PEM and DER are strict", () => {
  const der = decodeHex("3006020101020102");
  assert.ok(equalBytes(parsePem(serializePem("X", der), "X", 1)[0] ?? new Uint8Array(), der));
  assert.throws(() => parsePem(serializePem("X", der), "Y", 1), { code: "bad-encoding" });
  assert.throws(() => parsePem(serializePem("X", der).repeat(2), "X", 1), { code: "too-large" });
  const sequence = new DerReader(der).nested();
  assert.equal(sequence.element(0x02).content[0], 1);
  assert.throws(() => sequence.element(0x04), { code: "bad-encoding" });
  assert.throws(() => new DerReader(decodeHex("30810100")).element(), { code: "not-canonical" });
  assert.throws(() => new DerReader(decodeHex("3080")).element(), { code: "bad-encoding" });
  assert.throws(() => new DerReader(decodeHex("300500")).element(), { code: "truncated" });
  assert.equal(parseObjectIdentifier(decodeHex("2b0601040 19c7801".replace(" ", ""))), "1.3.6.1.4.1.3704.1");
  for (let index = 0; index < der.length; index += 1) {
    assert.throws(() => new DerReader(der.subarray(0, index)).nested().element().raw, CodedError);
  }
});
