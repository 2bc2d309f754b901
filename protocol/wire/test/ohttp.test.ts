import assert from "node:assert/strict";
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
import fc from "fast-check";
import * as hpke from "hpke";
import { readJsonVector, vectorsMissing } from "../../../tests/vectors.ts";
import {
  encapsulateChunkedRequest as chunkedWith,
  encapsulateRequest as plainWith,
} from "../src/ohttp/client.ts";
import { keyScheduleContext, openDirect, setUpRecipient } from "../src/ohttp/direct-hpke.node.ts";

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

/** A suite whose ephemeral key is fixed: what the published vectors need. */
function suiteWithEphemeral(skE: string): hpke.CipherSuite {
  const factory: hpke.KEMFactory = () => {
    const kem = hpke.KEM_DHKEM_X25519_HKDF_SHA256();
    return new Proxy(kem, {
      get(target, name, receiver) {
        if (name !== "Encap") return Reflect.get(target, name, receiver);
        return async (pkR: CryptoKey) => {
          const generate = crypto.subtle.generateKey;
          const pkcs8 = decodeHex(`302e020100300506032b656e04220420${skE}`);
          const privateKey = await crypto.subtle.importKey("pkcs8", pkcs8, "X25519", true, ["deriveBits"]);
          const jwk = await crypto.subtle.exportKey("jwk", privateKey);
          const publicKey = await crypto.subtle.importKey(
            "jwk",
            { kty: "OKP", crv: "X25519", x: jwk.x ?? "" },
            "X25519",
            true,
            [],
          );
          Object.defineProperty(crypto.subtle, "generateKey", {
            configurable: true,
            value: async () => ({ privateKey, publicKey }),
          });
          try {
            return await target.Encap(pkR);
          } finally {
            Object.defineProperty(crypto.subtle, "generateKey", { configurable: true, value: generate });
          }
        };
      },
    });
  };
  return new hpke.CipherSuite(factory, hpke.KDF_HKDF_SHA256, hpke.AEAD_AES_128_GCM);
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
};

test("the direct HPKE agrees with RFC 9180's vectors", { skip: vectorsMissing }, async () => {
  const { createPrivateKey } = await import("node:crypto");
  const all = readJsonVector<HpkeVector[]>("hpke", "rfc9180-vectors-trimmed.json");
  const ours = all.filter((v) => v.mode === 0 && v.kem_id === 0x20 && v.kdf_id === 1 && v.aead_id === 1);
  assert.ok(ours.length > 0);
  for (const vector of ours) {
    const key = Buffer.from(vector.skRm, "hex");
    const privateKey = createPrivateKey({ key, format: "raw-private", asymmetricKeyType: "x25519" });
    const schedule = keyScheduleContext(decodeHex(vector.info));
    const context = setUpRecipient(
      privateKey,
      decodeHex(vector.pkRm),
      decodeHex(vector.enc),
      schedule,
      new Uint8Array(),
    );
    assert.equal(encodeHex(context.key), vector.key);
    assert.equal(encodeHex(context.nonce), vector.base_nonce);
    for (const { aad, ct, pt, nonce } of vector.encryptions) {
      const opened = openDirect(context.key, decodeHex(nonce), decodeHex(aad), decodeHex(ct));
      assert.equal(encodeHex(opened), pt);
    }
  }
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
      for (const bytes of [changed, request.slice(0, index)]) {
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
    }
  });
}

async function chunkedExchange(chunks: readonly Uint8Array[], cut: number) {
  const pair = await generateKeyPair(1, kemId.x25519);
  const keys = await createGatewayKeys([pair]);
  const client = await encapsulateChunkedRequest(pair.config);
  const opener = decapsulateChunkedRequest(keys);
  await opener.push(concatBytes(client.header, await client.sealFinal(encodeUtf8("q"))));
  assert.deepEqual(await opener.finish(), encodeUtf8("q"));
  const sealer = opener.createResponseSealer(systemRandom);
  const bytes = concatBytes(
    sealer.header,
    ...chunks.map((chunk) => sealer.seal(chunk)),
    sealer.sealFinal(new Uint8Array()),
  );
  const answer = client.createResponseOpener();
  const opened: Bytes[] = [];
  for (let offset = 0; offset < bytes.length; offset += cut) {
    opened.push(...(await answer.push(bytes.slice(offset, offset + cut))));
  }
  return { client, bytes, opened, answer, sealer };
}

test("chunked responses arrive whole however they are cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 }),
      fc.integer({ min: 1, max: 200 }),
      async (chunks, cut) => {
        const { opened, answer } = await chunkedExchange(chunks, cut);
        await answer.finish();
        assert.deepEqual(opened.map(encodeHex), chunks.map(encodeHex));
        await assert.rejects(answer.push(new Uint8Array(1)), { code: "out-of-order" });
      },
    ),
    { numRuns: 30 },
  );
});

test("a chunked response cut anywhere, reordered, repeated or flipped is refused", async () => {
  const chunks = [encodeUtf8("first"), encodeUtf8("second")];
  const { client, bytes, sealer } = await chunkedExchange(chunks, 1000);
  assert.throws(() => sealer.seal(encodeUtf8("late")), { code: "out-of-order" });
  const read = async (input: Bytes): Promise<void> => {
    const opener = client.createResponseOpener();
    await opener.push(input);
    await opener.finish();
  };
  await read(bytes);
  for (let index = 0; index < bytes.length; index += 1) {
    await assert.rejects(read(bytes.slice(0, index)), WireError, `cut at ${index}`);
    const changed = bytes.slice();
    changed[index] = (changed[index] ?? 0) ^ 1;
    await assert.rejects(read(changed), WireError, `flipped at ${index}`);
  }
  const first = bytes.slice(16, 16 + 1 + 5 + 16);
  const second = bytes.slice(38, 38 + 1 + 6 + 16);
  const final = bytes.slice(61);
  for (const order of [[second, first, final], [first, first, second, final], [second, final], [final]]) {
    await assert.rejects(read(concatBytes(bytes.slice(0, 16), ...order)), { code: "decryption-failed" });
  }
});

test("parallel calls never use a nonce twice", async () => {
  const pair = await generateKeyPair(1, kemId.x25519);
  const keys = await createGatewayKeys([pair]);
  const client = await encapsulateChunkedRequest(pair.config);
  const same = encodeUtf8("the same text every time");
  const sealed = await Promise.all(Array.from({ length: 20 }, () => client.seal(same)));
  assert.equal(new Set(sealed.map(encodeHex)).size, 20);
  const opener = decapsulateChunkedRequest(keys);
  await opener.push(client.header);
  for (const bytes of sealed) assert.deepEqual(await opener.push(bytes), [same]);
});

test("endless input is bounded", async () => {
  const pair = await generateKeyPair(1, kemId.x25519);
  const client = await encapsulateChunkedRequest(pair.config);
  const opener = decapsulateChunkedRequest(await createGatewayKeys([pair]));
  await opener.push(concatBytes(client.header, decodeHex("00")));
  const block = new Uint8Array(256 * 1024);
  await assert.rejects(
    async () => {
      for (let index = 0; index < 100; index += 1) await opener.push(block);
    },
    { code: "too-large" },
  );
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
