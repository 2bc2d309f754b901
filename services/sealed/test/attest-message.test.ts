import assert from "node:assert/strict";
import { test } from "node:test";
import { AttestationError, type EvidenceBundle, type PeerEvidence } from "@sotto/attestation";
import { type Bytes, concatBytes, encodeUtf8 } from "@sotto/base";
import {
  type AttestMessage,
  MessageError,
  parseAttestMessage,
  serializeAttestMessage,
  streamNames,
} from "@sotto/sealed";
import fc from "fast-check";

const hash = (byte: number): Bytes => new Uint8Array(32).fill(byte);
const stream = "client";
const binding = { spkiDigest: hash(1), nonce: hash(2), exporter: hash(3), requestDigest: hash(4) };
const bundle: EvidenceBundle = {
  snp: { report: new Uint8Array(8), certificates: new Uint8Array(8) },
  batch: { index: 1, size: 2, path: [hash(9)] },
  statement: encodeUtf8("statement"),
  proof: encodeUtf8("proof"),
  layers: ["environment"],
  gpus: [encodeUtf8("gpu")],
  peers: [],
};
const peers: readonly PeerEvidence[] = [
  { binding: { ...binding, role: "predictor" }, bundle },
  { binding: { ...binding, role: "guard" }, bundle },
];
const isTyped = (error: unknown): boolean =>
  error instanceof MessageError || error instanceof AttestationError;

test("a stream, four fields of 32 bytes, in this order, and the peers after them; no role", () => {
  const bytes = serializeAttestMessage({ stream, binding, peers: [] });
  assert.deepEqual(bytes, concatBytes(Uint8Array.of(0), hash(1), hash(2), hash(3), hash(4)));
  for (const [code, name] of streamNames.entries()) {
    assert.deepEqual(serializeAttestMessage({ stream: name, binding, peers: [] }), bytes.with(0, code));
    assert.equal(parseAttestMessage(bytes.with(0, code)).stream, name);
  }
  for (const code of [3, 255]) {
    assert.throws(() => parseAttestMessage(bytes.with(0, code)), { name: "MessageError", code: "malformed" });
  }
  for (const given of [[], peers.slice(0, 1), peers]) {
    const message: AttestMessage = { stream, binding, peers: given };
    const parsed = parseAttestMessage(serializeAttestMessage(message));
    assert.deepEqual(parsed, message);
    assert.ok(!("role" in parsed.binding));
  }
});

test("what is shorter than its fields is refused, at every length", () => {
  const bytes = serializeAttestMessage({ stream, binding, peers: [] });
  for (let length = 0; length < bytes.length; length += 1) {
    assert.throws(() => parseAttestMessage(bytes.slice(0, length)), {
      code: "malformed",
      message: "attest message: too short",
    });
  }
});

test("peers that are cut, or followed by anything, are refused", () => {
  const bytes = serializeAttestMessage({ stream, binding, peers });
  const first = serializeAttestMessage({ stream, binding, peers: peers.slice(0, 1) });
  for (let length = 130; length < bytes.length; length += 1) {
    if (length === first.length) continue; // whole, with one peer
    assert.throws(() => parseAttestMessage(bytes.slice(0, length)), AttestationError, String(length));
  }
  for (const more of [Uint8Array.of(0), Uint8Array.of(2), hash(0)]) {
    assert.throws(() => parseAttestMessage(concatBytes(bytes, more)), AttestationError);
  }
});

test("more than eight peers, a peer of no role and a peer with peers are refused, where they are written and where they are read", () => {
  const many = Array.from({ length: 9 }, () => peers[0] ?? assert.fail());
  const nested: PeerEvidence = { binding: { ...binding, role: "predictor" }, bundle: { ...bundle, peers } };
  const short: PeerEvidence = { binding: { ...binding, role: "predictor", nonce: hash(1).slice(1) }, bundle };
  for (const given of [many, [nested], [short]]) {
    assert.throws(() => serializeAttestMessage({ stream, binding, peers: given }), AttestationError);
  }
  const one = serializeAttestMessage({ stream, binding, peers: peers.slice(0, 1) });
  const fields = one.slice(0, 129);
  assert.throws(
    () => parseAttestMessage(concatBytes(fields, ...many.map(() => one.slice(129)))),
    AttestationError,
  );
  for (const code of [0, 4, 255]) {
    assert.throws(() => parseAttestMessage(one.with(129, code)), AttestationError);
  }
});

test("any bytes give a message that is written as the same bytes, or a typed error", () => {
  const bytes = serializeAttestMessage({ stream, binding, peers });
  const changed = fc
    .tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }))
    .map(([at, flip]) => bytes.with(at, (bytes[at] ?? 0) ^ flip));
  const random = fc.uint8Array({ maxLength: 200 }).map((given) => new Uint8Array(given));
  fc.assert(
    fc.property(fc.oneof(changed, random), (given) => {
      let parsed: AttestMessage;
      try {
        parsed = parseAttestMessage(given);
      } catch (error) {
        assert.ok(isTyped(error), String(error));
        return;
      }
      assert.deepEqual(serializeAttestMessage(parsed), given);
    }),
    { numRuns: 500 },
  );
});
