// The client's side of Oblivious HTTP, plain and chunked
// (RFC 9458 Section 4; draft-ietf-ohai-chunked-ohttp-08 Section 6). HPKE is the `hpke` package's.
import { type Bytes, concatBytes, copyBytes } from "@sotto/base";
import * as hpke from "hpke";
import { decryptionFailed, WireError } from "../wire-error.ts";
import { ChunkFraming, serializeChunk, serializeFinalChunk } from "./chunk-framing.ts";
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
  plainLabels,
  requestInfo,
  responseNonceLength,
} from "./labels.ts";

const kdf = hpke.KDF_HKDF_SHA256();
const aead = hpke.AEAD_AES_128_GCM();

const suites: ReadonlyMap<number, hpke.CipherSuite> = new Map<number, hpke.CipherSuite>([
  [
    kemId.x25519,
    new hpke.CipherSuite(hpke.KEM_DHKEM_X25519_HKDF_SHA256, hpke.KDF_HKDF_SHA256, hpke.AEAD_AES_128_GCM),
  ],
  [
    kemId.mlkem768X25519,
    new hpke.CipherSuite(hpke.KEM_MLKEM768_X25519, hpke.KDF_HKDF_SHA256, hpke.AEAD_AES_128_GCM),
  ],
]);

/** The HPKE suite of a KEM; throws `WireError` with `unsupported`. */
export function hpkeSuite(kem: number): hpke.CipherSuite {
  const suite = suites.get(kem);
  if (suite === undefined) throw new WireError("unsupported", "kem is not supported");
  return suite;
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
      const responseNonce = copyBytes(response.subarray(0, responseNonceLength));
      const keys = await deriveResponseKeys(enc, secret, responseNonce);
      return open(keys.key, keys.nonce, emptyAad, response.subarray(responseNonceLength));
    },
  };
}

/** A request that is sealed piece by piece. */
export type ChunkedRequest = {
  /** What comes before the first chunk. */
  readonly header: Bytes;
  readonly seal: (chunk: Uint8Array) => Promise<Bytes>;
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
  const seal = async (chunk: Uint8Array, final: boolean): Promise<Bytes> => {
    if (ended) throw new WireError("out-of-order", "chunk after the final one");
    ended = final;
    // The context counts inside Seal, which it runs one after the other.
    return copyBytes(await context.Seal(chunk, final ? finalAad : emptyAad));
  };
  return {
    header: concatBytes(header, enc),
    seal: async (chunk) => serializeChunk(await seal(chunk, false)),
    sealFinal: async (chunk) => serializeFinalChunk(await seal(chunk, true)),
    createResponseOpener: () => new ChunkedOpener((nonce) => deriveResponseKeys(enc, secret, nonce)),
  };
}

type ResponseKeys = { readonly key: Bytes; readonly nonce: Bytes };

/** Opens a chunked response as it comes; a failure is final. */
export class ChunkedOpener {
  readonly #derive: (responseNonce: Bytes) => Promise<ResponseKeys>;
  readonly #framing = new ChunkFraming();
  #head: Bytes = new Uint8Array();
  #keys: ResponseKeys | undefined;
  #counter = 0;
  #dead = false;

  constructor(derive: (responseNonce: Bytes) => Promise<ResponseKeys>) {
    this.#derive = derive;
  }

  /** Takes the next bytes and returns the chunks they complete, in order; throws `WireError`. Not reentrant. */
  push(bytes: Bytes): Promise<Bytes[]> {
    return this.#guarded(async () => {
      let rest = bytes;
      if (this.#keys === undefined) {
        this.#head = concatBytes(this.#head, bytes);
        if (this.#head.length < responseNonceLength) return [];
        rest = this.#head.slice(responseNonceLength);
        this.#keys = await this.#derive(this.#head.slice(0, responseNonceLength));
      }
      const opened: Bytes[] = [];
      for (const { ciphertext } of this.#framing.push(rest)) {
        opened.push(await this.#open(ciphertext, emptyAad));
      }
      return opened;
    });
  }

  /** The input is over: the content of the final chunk; throws `truncated` when there was none. */
  finish(): Promise<Bytes> {
    return this.#guarded(async () => {
      const { ciphertext } = this.#framing.finish();
      const content = await this.#open(ciphertext, finalAad);
      this.#dead = true;
      return content;
    });
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    if (this.#dead) throw new WireError("out-of-order", "message is over");
    try {
      return await work();
    } catch (error) {
      this.#dead = true;
      throw error;
    }
  }

  #open(ciphertext: Bytes, aad: Bytes): Promise<Bytes> {
    if (this.#keys === undefined) throw new WireError("truncated", "message ends early");
    const nonce = chunkNonce(this.#keys.nonce, this.#counter);
    this.#counter += 1;
    return open(this.#keys.key, nonce, aad, ciphertext);
  }
}

async function setUp(config: KeyConfig, labels: Labels, suite: hpke.CipherSuite) {
  const supported = config.suites.some(
    ({ kdfId, aeadId }) => kdfId === kdfHkdfSha256 && aeadId === aeadAes128Gcm,
  );
  if (!supported) throw new WireError("unsupported", "key config: no supported algorithms");
  const header = requestHeader(config.keyId, config.kemId);
  let recipient: hpke.Key;
  try {
    recipient = await suite.DeserializePublicKey(config.publicKey);
  } catch (cause) {
    throw new WireError("malformed", "key config: public key is not valid", { cause });
  }
  const { encapsulatedSecret, ctx } = await suite.SetupSender(recipient, {
    info: requestInfo(labels, header),
  });
  const secret = copyBytes(await ctx.Export(labels.response, responseNonceLength));
  return { header, enc: copyBytes(encapsulatedSecret), context: ctx, secret };
}

/** `prk = Extract(concat(enc, response_nonce), secret)`, then key and nonce (RFC 9458 Section 4.4). */
async function deriveResponseKeys(enc: Bytes, secret: Bytes, responseNonce: Bytes): Promise<ResponseKeys> {
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
