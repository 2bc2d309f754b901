import assert from "node:assert/strict";
import { createHmac, createPrivateKey } from "node:crypto";
import { test } from "node:test";
import { concatBytes, decodeHex, encodeHex } from "@sotto/base";
import { encapsulateRequest, kemId } from "@sotto/wire";
import {
  createGatewayKeys,
  decapsulateRequest,
  type GatewayKeys,
  generateKeyPair,
} from "@sotto/wire/gateway";
import fc from "fast-check";
import * as hpke from "hpke";
import { readJsonVector, vectorsMissing } from "../../../tests/vectors.ts";
import { openGcm, sealGcm } from "../src/ohttp/aes-gcm.node.ts";
import { hpkeSuite } from "../src/ohttp/client.ts";
import { createKeySchedule, setUpRecipient } from "../src/ohttp/direct-hpke.node.ts";
import { createMacMessage, mac } from "../src/ohttp/hmac-sha256.node.ts";
import { requestHeader } from "../src/ohttp/key-config.ts";
import { chunkedLabels, chunkNonce, plainLabels, requestInfo } from "../src/ohttp/labels.ts";

type HpkeVector = {
  mode: number;
  kem_id: number;
  kdf_id: number;
  aead_id: number;
  info: string;
  skRm: string;
  pkRm: string;
  enc: string;
  key: string;
  base_nonce: string;
  encryptions: { aad: string; ct: string; pt: string; nonce: string }[];
  exports: { exporter_context: string; L: number; exported_value: string }[];
};

test("the direct HPKE agrees with RFC 9180's vectors", { skip: vectorsMissing }, async () => {
  const all = readJsonVector<HpkeVector[]>("hpke", "rfc9180-vectors-trimmed.json");
  const ours = all.filter((v) => v.mode === 0 && v.kem_id === 0x20 && v.kdf_id === 1 && v.aead_id === 1);
  assert.ok(ours.length > 0);
  for (const vector of ours) {
    const key = Buffer.from(vector.skRm, "hex");
    const privateKey = createPrivateKey({ key, format: "raw-private", asymmetricKeyType: "x25519" });
    const schedule = createKeySchedule(decodeHex(vector.info), new Uint8Array());
    const context = setUpRecipient(privateKey, decodeHex(vector.enc), schedule);
    assert.equal(encodeHex(context.key), vector.key);
    assert.equal(encodeHex(context.nonce), vector.base_nonce);
    for (const { aad, ct, pt, nonce } of vector.encryptions) {
      const opened = openGcm(context.key, decodeHex(nonce), decodeHex(aad), decodeHex(ct));
      assert.equal(encodeHex(opened), pt);
      const sealed = sealGcm(context.key, decodeHex(nonce), decodeHex(aad), decodeHex(pt));
      assert.equal(encodeHex(concatBytes(...sealed)), ct);
    }
  }
});

test("HMAC over one-shot hashes agrees with OpenSSL's", () => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(bytes, bytes, fc.integer({ min: 1, max: 32 }), (key, message, length) => {
      const expected = createHmac("sha256", key).update(message).digest().subarray(0, length);
      assert.equal(encodeHex(mac(key, createMacMessage(message), length)), encodeHex(expected));
    }),
  );
});

test("the hybrid KEM of the package agrees with X-Wing's vectors", { skip: vectorsMissing }, async () => {
  const all = readJsonVector<HpkeVector[]>("hpke", "vectors-pq.json");
  const ours = all.filter((v) => v.kem_id === kemId.mlkem768X25519 && v.kdf_id === 1);
  assert.ok(ours.length > 0);
  for (const vector of ours) {
    assert.equal(vector.aead_id, 3);
    const suite = new hpke.CipherSuite(
      hpke.KEM_MLKEM768_X25519,
      hpke.KDF_HKDF_SHA256,
      hpke.AEAD_ChaCha20Poly1305,
    );
    const keyPair = {
      privateKey: await suite.DeserializePrivateKey(decodeHex(vector.skRm)),
      publicKey: await suite.DeserializePublicKey(decodeHex(vector.pkRm)),
    };
    const context = await suite.SetupRecipient(keyPair, decodeHex(vector.enc), {
      info: decodeHex(vector.info),
    });
    let sequence = 0;
    for (const { aad, ct, pt, nonce } of vector.encryptions) {
      // The trimmed list leaves sequence numbers out; the context cannot skip them.
      if (encodeHex(chunkNonce(decodeHex(vector.base_nonce), sequence)) !== nonce) break;
      const opened = await context.Open(decodeHex(ct), decodeHex(aad));
      assert.equal(encodeHex(new Uint8Array(opened)), pt);
      sequence += 1;
    }
    assert.ok(sequence > 0);
    for (const { exporter_context, L, exported_value } of vector.exports) {
      const exported = await context.Export(decodeHex(exporter_context), L);
      assert.equal(encodeHex(new Uint8Array(exported)), exported_value);
    }
  }
});

test("direct and package paths open the same requests and seal the same responses", async () => {
  const pair = await generateKeyPair(9, kemId.x25519);
  const direct = await createGatewayKeys([pair]);
  const suite = hpkeSuite(kemId.x25519);
  const keyPair = {
    privateKey: await suite.DeserializePrivateKey(pair.privateKey),
    publicKey: await suite.DeserializePublicKey(pair.config.publicKey),
  };
  const header = requestHeader(9, kemId.x25519);
  const throughPackage: GatewayKeys = new Map([
    [
      9,
      {
        kind: "package",
        config: pair.config,
        suite,
        keyPair,
        plain: requestInfo(plainLabels, header),
        chunked: requestInfo(chunkedLabels, header),
      },
    ],
  ]);
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 2000 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      async (content, nonce) => {
        const { request, openResponse } = await encapsulateRequest(pair.config, content);
        const random = () => new Uint8Array(nonce);
        const responses = [];
        for (const keys of [direct, throughPackage]) {
          const opened = await decapsulateRequest(keys, request);
          assert.deepEqual(opened.content, new Uint8Array(content));
          responses.push(encodeHex(opened.sealResponse(content, random)));
        }
        assert.equal(responses[0], responses[1]);
        assert.deepEqual(await openResponse(decodeHex(responses[0] ?? "")), new Uint8Array(content));
      },
    ),
    { numRuns: 50 },
  );
});

test("key shares that force a shared secret of zeros fail like any other request", async () => {
  const pair = await generateKeyPair(1, kemId.x25519);
  const keys = await createGatewayKeys([pair]);
  const lowOrder = [
    "00".repeat(32),
    `01${"00".repeat(31)}`,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    `ec${"ff".repeat(30)}7f`,
  ];
  for (const share of lowOrder) {
    const bytes = concatBytes(requestHeader(1, kemId.x25519), decodeHex(share), new Uint8Array(40));
    await assert.rejects(decapsulateRequest(keys, bytes), { code: "decryption-failed" });
  }
});
