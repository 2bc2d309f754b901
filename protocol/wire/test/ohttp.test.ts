import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from "node:crypto";
import { test } from "node:test";
import { type Bytes, concatBytes, decodeHex, encodeHex, encodeUtf8, systemRandom } from "@sotto/base";
import {
  encapsulateChunkedRequest,
  encapsulateRequest,
  type KeyConfig,
  kemId,
  parseKeyConfig,
  parseKeyConfigList,
  serializeKeyConfig,
  serializeKeyConfigList,
  WireError,
} from "@sotto/wire";
import {
  createGatewayKeys,
  decapsulateChunkedRequest,
  decapsulateRequest,
  type GatewayKeys,
  generateKeyPair,
} from "@sotto/wire/gateway";
import * as hpke from "hpke";
import { readJsonVector, vectorsMissing } from "../../../tests/vectors.ts";
import {
  encapsulateChunkedRequest as chunkedWith,
  encapsulateRequest as plainWith,
} from "../src/ohttp/client.ts";

type OhttpVector = Record<
  | "skR"
  | "skE"
  | "keyConfig"
  | "requestBhttp"
  | "encapsulatedRequest"
  | "responseBhttp"
  | "encapsulatedResponse",
  string
> & { requestChunksWithLength: string[]; requestChunkPlaintexts: string[] };

const x25519Kem = concatBytes(encodeUtf8("KEM"), decodeHex("0020"));

/** A suite whose ephemeral key is fixed: what the published vectors need. */
function suiteWithEphemeral(skE: string): hpke.CipherSuite {
  const kem = hpke.KEM_DHKEM_X25519_HKDF_SHA256();
  const kdf = hpke.KDF_HKDF_SHA256();
  const privateKey = x25519PrivateKey(skE);
  const enc = new Uint8Array(createPublicKey(privateKey).export({ format: "raw-public" }));
  const Encap = async (pkR: hpke.CryptoKey) => {
    const recipient = await kem.SerializePublicKey(pkR);
    const key = Buffer.from(recipient);
    const publicKey = createPublicKey({ key, format: "raw-public", asymmetricKeyType: "x25519" });
    const agreed = new Uint8Array(diffieHellman({ privateKey, publicKey }));
    const prk = await hpke.LabeledExtract(kdf, x25519Kem, new Uint8Array(), encodeUtf8("eae_prk"), agreed);
    const info = concatBytes(enc, recipient);
    const label = encodeUtf8("shared_secret");
    return { enc, shared_secret: await hpke.LabeledExpand(kdf, x25519Kem, prk, label, info, 32) };
  };
  const factory: hpke.KEMFactory<hpke.CryptoKey> = () => Object.assign(Object.create(kem), { Encap });
  return new hpke.CipherSuite(factory, hpke.KDF_HKDF_SHA256, hpke.AEAD_AES_128_GCM);
}

function x25519PrivateKey(hex: string): KeyObject {
  const key = Buffer.from(hex, "hex");
  return createPrivateKey({ key, format: "raw-private", asymmetricKeyType: "x25519" });
}

async function vectorKeys(vector: OhttpVector): Promise<{ config: KeyConfig; keys: GatewayKeys }> {
  const config = parseKeyConfig(decodeHex(vector.keyConfig));
  return { config, keys: await createGatewayKeys([{ config, privateKey: decodeHex(vector.skR) }]) };
}

test("RFC 9458 Appendix A, byte-exact in both roles", { skip: vectorsMissing }, async () => {
  const vector = readJsonVector<OhttpVector>("ohttp", "rfc9458-appendixA.json");
  const { config, keys } = await vectorKeys(vector);
  assert.equal(encodeHex(serializeKeyConfig(config)), vector.keyConfig);
  const sealed = await plainWith(config, decodeHex(vector.requestBhttp), suiteWithEphemeral(vector.skE));
  assert.equal(encodeHex(sealed.request), vector.encapsulatedRequest);
  const opened = await decapsulateRequest(keys, decodeHex(vector.encapsulatedRequest));
  assert.equal(encodeHex(opened.content), vector.requestBhttp);
  const nonce = decodeHex(vector.encapsulatedResponse.slice(0, 32));
  const response = opened.sealResponse(decodeHex(vector.responseBhttp), () => nonce);
  assert.equal(encodeHex(response), vector.encapsulatedResponse);
  assert.equal(encodeHex(await sealed.openResponse(response)), vector.responseBhttp);
});

test("chunked draft-08 example, byte-exact in both roles", { skip: vectorsMissing }, async () => {
  const vector = readJsonVector<OhttpVector>("ohttp", "chunked-ohttp-08.json");
  const { config, keys } = await vectorKeys(vector);
  const sealed = await chunkedWith(config, suiteWithEphemeral(vector.skE));
  const parts = [sealed.header];
  const last = vector.requestChunkPlaintexts.length - 1;
  for (const [index, text] of vector.requestChunkPlaintexts.entries()) {
    const chunk = decodeHex(text);
    const bytes = index === last ? await sealed.sealFinal(chunk) : await sealed.seal(chunk);
    assert.equal(encodeHex(bytes), vector.requestChunksWithLength[index]);
    parts.push(bytes);
  }
  assert.equal(encodeHex(concatBytes(...parts)), vector.encapsulatedRequest);

  const opener = decapsulateChunkedRequest(keys);
  const opened: Bytes[] = [];
  for (const byte of decodeHex(vector.encapsulatedRequest))
    opened.push(...(await opener.push(new Uint8Array([byte]))));
  opened.push(await opener.finish());
  assert.equal(encodeHex(concatBytes(...opened)), vector.requestBhttp);

  const response = decodeHex(vector.encapsulatedResponse);
  const answer = sealed.createResponseOpener();
  const chunks = [...(await answer.push(response)), await answer.finish()];
  assert.equal(encodeHex(concatBytes(...chunks)), vector.responseBhttp);
  const sealer = opener.createResponseSealer(() => response.slice(0, 16));
  const again = concatBytes(
    sealer.header,
    ...chunks.slice(0, -1).map((chunk) => sealer.seal(chunk)),
    sealer.sealFinal(chunks.at(-1) ?? new Uint8Array()),
  );
  assert.equal(encodeHex(again), vector.encapsulatedResponse);
});

for (const [name, kem] of Object.entries(kemId)) {
  test(`${name}: request and response, plain and chunked; every flip and cut is the same error`, async () => {
    const pair = await generateKeyPair(7, kem);
    const keys = await createGatewayKeys([pair]);
    const content = encodeUtf8("a question");
    const { request, openResponse } = await encapsulateRequest(pair.config, content);
    const opened = await decapsulateRequest(keys, request);
    assert.deepEqual(opened.content, content);
    const response = opened.sealResponse(encodeUtf8("an answer"), systemRandom);
    assert.deepEqual(await openResponse(response), encodeUtf8("an answer"));

    const messages = new Set<string>();
    const step = kem === kemId.x25519 ? 1 : 37;
    for (let index = 0; index < request.length; index += step) {
      const changed = request.slice();
      changed[index] = (changed[index] ?? 0) ^ 1;
      for (const bytes of [
        changed,
        request.slice(0, index),
        concatBytes(request, changed.slice(0, 1 + index)),
      ]) {
        await assert.rejects(decapsulateRequest(keys, bytes), (error) => {
          assert.ok(error instanceof WireError, String(error));
          if (error.code === "decryption-failed") messages.add(error.message);
          else assert.equal(error.code, "unknown-key");
          return true;
        });
      }
    }
    assert.equal(messages.size, 1, "one message whatever failed");
    assert.doesNotMatch([...messages].join(), /key|nonce|tag|cipher/i);
    for (let index = 0; index < response.length; index += 1) {
      const changed = response.slice();
      changed[index] = (changed[index] ?? 0) ^ 1;
      await assert.rejects(openResponse(changed), { code: "decryption-failed" });
      await assert.rejects(openResponse(response.slice(0, index)), { code: "decryption-failed" });
      const longer = concatBytes(response, response.slice(0, 1 + index));
      await assert.rejects(openResponse(longer), { code: "decryption-failed" });
    }
  });
}

test("keys that do not belong together, or are no keys, are refused", async () => {
  for (const kem of Object.values(kemId)) {
    const pair = await generateKeyPair(1, kem);
    const other = await generateKeyPair(2, kem);
    const mixed = { config: pair.config, privateKey: other.privateKey };
    await assert.rejects(createGatewayKeys([mixed]), { code: "malformed" });
    await assert.rejects(createGatewayKeys([pair, pair]), { code: "malformed" });
    const short = { config: pair.config, privateKey: pair.privateKey.slice(1) };
    await assert.rejects(createGatewayKeys([short]), { code: "malformed" });
    const suites = [{ kdfId: 2, aeadId: 2 }];
    const foreign = { ...pair.config, suites };
    await assert.rejects(createGatewayKeys([{ ...pair, config: foreign }]), { code: "unsupported" });
    await assert.rejects(encapsulateRequest(foreign, new Uint8Array()), { code: "unsupported" });
    const zero = { ...pair.config, publicKey: new Uint8Array(pair.config.publicKey.length) };
    await assert.rejects(encapsulateRequest(zero, new Uint8Array()), { code: "malformed" });
    await assert.rejects(encapsulateChunkedRequest(zero), { code: "malformed" });
  }
  await assert.rejects(generateKeyPair(1, 0x0010), { code: "unsupported" });
});

test("key configurations: round trip, malleability, unknown KEMs passed over", async () => {
  const pair = await generateKeyPair(3, kemId.x25519);
  const bytes = serializeKeyConfig(pair.config);
  for (let index = 0; index < bytes.length; index += 1) {
    assert.throws(() => parseKeyConfig(bytes.slice(0, index)), WireError);
    const changed = bytes.slice();
    changed[index] = (changed[index] ?? 0) ^ 0x41;
    try {
      assert.deepEqual(serializeKeyConfig(parseKeyConfig(changed)), changed);
    } catch (error) {
      assert.ok(error instanceof WireError);
    }
  }
  assert.throws(() => parseKeyConfig(concatBytes(bytes, new Uint8Array(1))), { code: "trailing-bytes" });
  const unknown = concatBytes(decodeHex("000501"), decodeHex("ffff0000"));
  const list = concatBytes(serializeKeyConfigList([pair.config]), unknown);
  assert.deepEqual(parseKeyConfigList(list), [pair.config]);
  assert.throws(() => parseKeyConfigList(unknown), { code: "unsupported" });
});
