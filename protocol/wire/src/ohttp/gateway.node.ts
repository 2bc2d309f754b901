// The gateway's side of Oblivious HTTP, plain and chunked
// (RFC 9458 Section 4; draft-ietf-ohai-chunked-ohttp-08 Section 6).
import { ByteReader, type Bytes, concatBytes, copyBytes, EncodingError, type Random } from "@sotto/base";
import { decryptionFailed, WireError } from "../wire-error.ts";
import { openGcm, sealGcm } from "./aes-gcm.node.ts";
import { maxChunkBytes, serializeChunk, serializeFinalChunk } from "./chunk-framing.ts";
import { ChunkedOpener, type OpenChunk } from "./chunked-opener.ts";
import { setUpRecipient } from "./direct-hpke.node.ts";
import type { GatewayKey, GatewayKeys } from "./gateway-keys.node.ts";
import { createMacMessage, mac } from "./hmac-sha256.node.ts";
import { type EncapsulatedHead, encapsulatedHeadLength, readEncapsulatedHead } from "./key-config.ts";
import {
  chunkedLabels,
  chunkNonce,
  emptyAad,
  finalAad,
  keyLabel,
  nk,
  nn,
  nonceLabel,
  nt,
  plainLabels,
  responseNonceLength,
} from "./labels.ts";

type Variant = "plain" | "chunked";

/** One request's context: opens its sealed pieces in order, and derives the keys of its response. */
type Recipient = { readonly open: OpenChunk; readonly enc: Bytes; readonly secret: Uint8Array };

/** An opened request and what seals its response. */
export type DecapsulatedRequest = {
  readonly content: Bytes;
  /** Seals a response under keys of its own, drawn with 16 random bytes. */
  readonly sealResponse: (content: Uint8Array, random: Random) => Bytes;
};

/** Opens one whole request; throws `WireError`: `unknown-key` or `decryption-failed` (RFC 9458 Section 4.3). */
export async function decapsulateRequest(keys: GatewayKeys, bytes: Bytes): Promise<DecapsulatedRequest> {
  const reader = new ByteReader(bytes);
  const head = readHead(reader);
  const key = findKey(keys, head);
  const recipient =
    key.kind === "direct" ? setUpDirect(key, head.enc, "plain") : await setUpPackage(key, head.enc, "plain");
  const content = await recipient.open(bytes.subarray(reader.offset), emptyAad);
  return {
    content,
    sealResponse: (response, random) => {
      const { responseNonce, key: aeadKey, nonce } = drawResponseKeys(recipient, random);
      return concatBytes(responseNonce, ...sealGcm(aeadKey, nonce, emptyAad, response));
    },
  };
}

/** Seals a response piece by piece; `header` goes first. */
export type ChunkedResponseSealer = {
  readonly header: Bytes;
  /** Seals and frames a chunk; an empty one, which the format forbids, becomes nothing. */
  readonly seal: (chunk: Uint8Array) => Bytes;
  /** Seals and frames the last chunk, which may be empty; nothing can be sealed after it. */
  readonly sealFinal: (chunk: Uint8Array) => Bytes;
};

/** Opens a chunked request as it comes; calls are worked off in their order, and a failure is final. */
export type ChunkedRequestOpener = {
  /** Takes the next bytes and returns the chunks they complete, in order. */
  readonly push: (bytes: Bytes) => Promise<Bytes[]>;
  /** The input is over: the content of the final chunk; throws `truncated` when there was none. */
  readonly finish: () => Promise<Bytes>;
  /** Starts a response; the head of the request must have been opened, else `out-of-order` is thrown. */
  readonly createResponseSealer: (random: Random) => ChunkedResponseSealer;
};

/** Starts opening a chunked request (draft-ietf-ohai-chunked-ohttp-08 Section 6.1). */
export function decapsulateChunkedRequest(keys: GatewayKeys): ChunkedRequestOpener {
  let recipient: Recipient | undefined;
  const opener = new ChunkedOpener({
    length: (received) =>
      received.length < 3
        ? undefined
        : encapsulatedHeadLength(((received[1] ?? 0) << 8) | (received[2] ?? 0)),
    begin: async (bytes) => {
      const head = readHead(new ByteReader(bytes));
      const key = findKey(keys, head);
      recipient =
        key.kind === "direct"
          ? setUpDirect(key, head.enc, "chunked")
          : await setUpPackage(key, head.enc, "chunked");
      return recipient.open;
    },
  });
  return {
    push: (bytes) => opener.push(bytes),
    finish: () => opener.finish(),
    createResponseSealer: (random) => {
      if (recipient === undefined) throw new WireError("out-of-order", "response before its request");
      return createChunkedSealer(recipient, random);
    },
  };
}

/** Seals response chunks, each under the next counter (draft-ietf-ohai-chunked-ohttp-08 Section 6.2). */
function createChunkedSealer(recipient: Recipient, random: Random): ChunkedResponseSealer {
  const { responseNonce, key, nonce } = drawResponseKeys(recipient, random);
  let counter = 0;
  let ended = false;
  const next = (chunk: Uint8Array, aad: Bytes): readonly Uint8Array[] => {
    if (ended) throw new WireError("out-of-order", "chunk after the final one");
    if (chunk.length + nt > maxChunkBytes) throw new WireError("too-large", "chunk is over its limit");
    const used = counter === 0 ? nonce : chunkNonce(nonce, counter);
    counter += 1;
    ended = aad === finalAad;
    return sealGcm(key, used, aad, chunk);
  };
  return {
    header: responseNonce,
    seal: (chunk) =>
      chunk.length === 0 && !ended ? new Uint8Array() : serializeChunk(...next(chunk, emptyAad)),
    sealFinal: (chunk) => serializeFinalChunk(...next(chunk, finalAad)),
  };
}

function readHead(reader: ByteReader): EncapsulatedHead {
  try {
    return readEncapsulatedHead(reader);
  } catch (error) {
    if (error instanceof EncodingError) throw decryptionFailed();
    throw error;
  }
}

function findKey(keys: GatewayKeys, head: EncapsulatedHead): GatewayKey {
  const key = keys.get(head.keyId);
  if (key === undefined || key.config.kemId !== head.kemId) {
    throw new WireError("unknown-key", "request is for a key that is not here");
  }
  return key;
}

function setUpDirect(key: GatewayKey & { kind: "direct" }, enc: Bytes, variant: Variant): Recipient {
  const context = setUpRecipient(key.privateKey, enc, key[variant]);
  let sequence = 0;
  return {
    enc,
    secret: context.secret,
    open: (sealed, aad) => {
      const nonce = sequence === 0 ? context.nonce : chunkNonce(context.nonce, sequence);
      sequence += 1;
      return openGcm(context.key, nonce, aad, sealed);
    },
  };
}

async function setUpPackage(
  key: GatewayKey & { kind: "package" },
  enc: Bytes,
  variant: Variant,
): Promise<Recipient> {
  try {
    const context = await key.suite.SetupRecipient(key.keyPair, enc, { info: key[variant] });
    const label = variant === "plain" ? plainLabels.response : chunkedLabels.response;
    const secret = await context.Export(label, responseNonceLength);
    return {
      enc,
      secret,
      open: async (sealed, aad) => {
        try {
          return copyBytes(await context.Open(sealed, aad));
        } catch {
          throw decryptionFailed();
        }
      },
    };
  } catch {
    throw decryptionFailed();
  }
}

const firstBlock = new Uint8Array([1]);
const keyMessage = createMacMessage(keyLabel, firstBlock);
const nonceMessage = createMacMessage(nonceLabel, firstBlock);

/** Draws the response nonce and derives key and nonce from it (RFC 9458 Section 4.4). */
function drawResponseKeys(recipient: Recipient, random: Random) {
  const responseNonce = random(responseNonceLength);
  const salt = concatBytes(recipient.enc, responseNonce);
  const prk = mac(salt, createMacMessage(recipient.secret));
  return { responseNonce, key: mac(prk, keyMessage, nk), nonce: mac(prk, nonceMessage, nn) };
}
