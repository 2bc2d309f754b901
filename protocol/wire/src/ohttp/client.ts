// The client's side of Oblivious HTTP, plain and chunked
// (RFC 9458 Section 4; draft-ietf-ohai-chunked-ohttp-08 Section 6). HPKE is the `hpke` package's.
import { type Bytes, concatBytes, copyBytes } from "@sotto/base";
import * as hpke from "hpke";
import { decryptionFailed, WireError } from "../wire-error.ts";
import { maxChunkBytes, serializeChunk, serializeFinalChunk } from "./chunk-framing.ts";
import { ChunkedOpener } from "./chunked-opener.ts";
import { aeadAes128Gcm, type KeyConfig, kdfHkdfSha256, kemId, requestHeader } from "./key-config.ts";
import {
  chunkedLabels,
  chunkNonce,
  emptyAad,
  finalAad,
  keyLabel,
  type Labels,
  nk,
  nn,
  nonceLabel,
  nt,
  plainLabels,
  requestInfo,
  responseNonceLength,
} from "./labels.ts";

const kdf = hpke.KDF_HKDF_SHA256();
const aead = hpke.AEAD_AES_128_GCM();

const kems: ReadonlyMap<number, hpke.KEMFactory> = new Map<number, hpke.KEMFactory>([
  [kemId.x25519, hpke.KEM_DHKEM_X25519_HKDF_SHA256],
  [kemId.mlkem768X25519, hpke.KEM_MLKEM768_X25519],
]);
const suites = new Map<number, hpke.CipherSuite>();

/** The HPKE suite of a KEM, made on first use: not every browser has all; throws `WireError` with `unsupported`. */
export function hpkeSuite(kem: number): hpke.CipherSuite {
  const known = suites.get(kem);
  if (known !== undefined) return known;
  const factory = kems.get(kem);
  if (factory === undefined) throw new WireError("unsupported", "kem is not supported");
  try {
    const suite = new hpke.CipherSuite(factory, hpke.KDF_HKDF_SHA256, hpke.AEAD_AES_128_GCM);
    suites.set(kem, suite);
    return suite;
  } catch (cause) {
    throw new WireError("unsupported", "kem is not supported on this platform", { cause });
  }
}

/** A sealed request and what opens its response. */
export type EncapsulatedRequest = {
  readonly request: Bytes;
  /** Opens the response; throws `WireError` with `decryption-failed`. */
  readonly openResponse: (response: Uint8Array) => Promise<Bytes>;
};

/** Seals one whole request for a gateway (RFC 9458 Section 4.3). */
export async function encapsulateRequest(
  config: KeyConfig,
  content: Uint8Array,
  suite: hpke.CipherSuite = hpkeSuite(config.kemId),
): Promise<EncapsulatedRequest> {
  const { header, enc, context, secret } = await setUp(config, plainLabels, suite);
  const sealed = await context.Seal(content);
  return {
    request: concatBytes(header, enc, sealed),
    openResponse: async (response) => {
      if (response.length < responseNonceLength) throw decryptionFailed();
      const keys = await deriveResponseKeys(enc, secret, response.subarray(0, responseNonceLength));
      return open(keys.key, keys.nonce, emptyAad, response.subarray(responseNonceLength));
    },
  };
}

/** A request that is sealed piece by piece. */
export type ChunkedRequest = {
  /** What comes before the first chunk. */
  readonly header: Bytes;
  /** Seals and frames a chunk; an empty one, which the format forbids, becomes nothing. */
  readonly seal: (chunk: Uint8Array) => Promise<Bytes>;
  /** Seals and frames the last chunk, which may be empty; nothing can be sealed after it. */
  readonly sealFinal: (chunk: Uint8Array) => Promise<Bytes>;
  readonly createResponseOpener: () => ChunkedOpener;
};

/** Sets up a chunked request for a gateway; chunks are sealed in the order of the calls. */
export async function encapsulateChunkedRequest(
  config: KeyConfig,
  suite: hpke.CipherSuite = hpkeSuite(config.kemId),
): Promise<ChunkedRequest> {
  const { header, enc, context, secret } = await setUp(config, chunkedLabels, suite);
  let ended = false;
  const seal = (chunk: Uint8Array, final: boolean): Promise<Uint8Array> => {
    if (ended) throw new WireError("out-of-order", "chunk after the final one");
    if (chunk.length + nt > maxChunkBytes) throw new WireError("too-large", "chunk is over its limit");
    ended = final;
    // The context counts inside Seal, which it runs one after the other.
    return context.Seal(chunk, final ? finalAad : emptyAad);
  };
  return {
    header: concatBytes(header, enc),
    seal: async (chunk) =>
      chunk.length === 0 && !ended ? new Uint8Array() : serializeChunk(await seal(chunk, false)),
    sealFinal: async (chunk) => serializeFinalChunk(await seal(chunk, true)),
    createResponseOpener: () =>
      new ChunkedOpener({
        length: () => responseNonceLength,
        begin: async (responseNonce) => {
          const { key, nonce } = await deriveResponseKeys(enc, secret, responseNonce);
          let counter = 0;
          return (ciphertext, aad) => {
            const used = chunkNonce(nonce, counter);
            counter += 1;
            return open(key, used, aad, ciphertext);
          };
        },
      }),
  };
}

type ResponseKeys = { readonly key: Bytes; readonly nonce: Bytes };

async function setUp(config: KeyConfig, labels: Labels, suite: hpke.CipherSuite) {
  const supported = config.suites.some(
    ({ kdfId, aeadId }) => kdfId === kdfHkdfSha256 && aeadId === aeadAes128Gcm,
  );
  if (!supported) throw new WireError("unsupported", "key config: no supported algorithms");
  const header = requestHeader(config.keyId, config.kemId);
  const info = requestInfo(labels, header);
  let sender: Awaited<ReturnType<typeof suite.SetupSender>>;
  try {
    sender = await suite.SetupSender(await suite.DeserializePublicKey(config.publicKey), { info });
  } catch (cause) {
    throw new WireError("malformed", "key config: public key is not valid", { cause });
  }
  const secret = await sender.ctx.Export(labels.response, responseNonceLength);
  return { header, enc: sender.encapsulatedSecret, context: sender.ctx, secret };
}

/** `prk = Extract(concat(enc, response_nonce), secret)`, then key and nonce (RFC 9458 Section 4.4). */
async function deriveResponseKeys(
  enc: Uint8Array,
  secret: Uint8Array,
  responseNonce: Uint8Array,
): Promise<ResponseKeys> {
  const prk = await kdf.Extract(concatBytes(enc, responseNonce), secret);
  const [key, nonce] = await Promise.all([kdf.Expand(prk, keyLabel, nk), kdf.Expand(prk, nonceLabel, nn)]);
  return { key: copyBytes(key), nonce: copyBytes(nonce) };
}

async function open(key: Bytes, nonce: Bytes, aad: Bytes, ciphertext: Uint8Array): Promise<Bytes> {
  try {
    return copyBytes(await aead.Open(key, nonce, aad, ciphertext));
  } catch {
    throw decryptionFailed();
  }
}
