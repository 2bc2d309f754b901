// The gateway's side of Oblivious HTTP, plain and chunked
// (RFC 9458 Section 4; draft-ietf-ohai-chunked-ohttp-08 Section 6).
import { createCipheriv } from "node:crypto";
import { ByteReader, type Bytes, concatBytes, copyBytes, EncodingError, type Random } from "@sotto/base";
import { decryptionFailed, WireError } from "../wire-error.ts";
import { ChunkFraming, serializeChunk, serializeFinalChunk } from "./chunk-framing.ts";
import { hmac, openDirect, setUpRecipient } from "./direct-hpke.node.ts";
import type { GatewayKey, GatewayKeys } from "./gateway-keys.node.ts";
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

/** Opens sealed pieces of one request in order. */
type Recipient = {
  readonly open: (sealed: Bytes, aad: Bytes) => Promise<Bytes>;
  readonly enc: Bytes;
  readonly secret: Uint8Array;
};

export type DecapsulatedRequest = {
  readonly content: Bytes;
  /** Seals the response; one request has one response. */
  readonly sealResponse: (content: Uint8Array, random: Random) => Bytes;
};

/** Opens one whole request; throws `WireError`: `unknown-key` or `decryption-failed` (RFC 9458 Section 4.3). */
export async function decapsulateRequest(keys: GatewayKeys, bytes: Bytes): Promise<DecapsulatedRequest> {
  const reader = new ByteReader(bytes);
  const head = readHead(reader);
  const recipient = await setUp(keys, head, "plain");
  const content = await recipient.open(reader.rest(), emptyAad);
  return {
    content,
    sealResponse: (response, random) => {
      const { responseNonce, key, nonce } = drawResponseKeys(recipient, random);
      return concatBytes(responseNonce, seal(key, nonce, emptyAad, response));
    },
  };
}

/** Seals a response piece by piece; `header` goes first. */
export type ChunkedResponseSealer = {
  readonly header: Bytes;
  readonly seal: (chunk: Uint8Array) => Bytes;
  readonly sealFinal: (chunk: Uint8Array) => Bytes;
};

/** Opens a chunked request as it comes; a failure is final. */
export type ChunkedRequestOpener = {
  /** Takes the next bytes and returns the chunks they complete, in order. Not reentrant. */
  readonly push: (bytes: Bytes) => Promise<Bytes[]>;
  /** The input is over: the content of the final chunk; throws `truncated` when there was none. */
  readonly finish: () => Promise<Bytes>;
  readonly createResponseSealer: (random: Random) => ChunkedResponseSealer;
};

/** Starts opening a chunked request (draft-ietf-ohai-chunked-ohttp-08 Section 6.1). */
export function decapsulateChunkedRequest(keys: GatewayKeys): ChunkedRequestOpener {
  const framing = new ChunkFraming();
  let head: Bytes = new Uint8Array();
  let recipient: Recipient | undefined;
  let over = false;

  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    if (over) throw new WireError("out-of-order", "message is over");
    try {
      return await work();
    } catch (error) {
      over = true;
      throw error;
    }
  };
  const begun = (): Recipient => {
    if (recipient === undefined) throw new WireError("truncated", "message ends early");
    return recipient;
  };

  return {
    push: (bytes) =>
      guarded(async () => {
        let rest = bytes;
        if (recipient === undefined) {
          head = concatBytes(head, bytes);
          const length =
            head.length < 3 ? undefined : encapsulatedHeadLength(((head[1] ?? 0) << 8) | (head[2] ?? 0));
          if (length === undefined || head.length < length) return [];
          const reader = new ByteReader(head);
          recipient = await setUp(keys, readHead(reader), "chunked");
          rest = reader.rest();
        }
        const opened: Bytes[] = [];
        for (const { ciphertext } of framing.push(rest))
          opened.push(await recipient.open(ciphertext, emptyAad));
        return opened;
      }),
    finish: () =>
      guarded(async () => {
        const content = await begun().open(framing.finish().ciphertext, finalAad);
        over = true;
        return content;
      }),
    createResponseSealer: (random) => {
      const { responseNonce, key, nonce } = drawResponseKeys(begun(), random);
      let counter = 0;
      let ended = false;
      const next = (chunk: Uint8Array, aad: Bytes): Bytes => {
        if (ended) throw new WireError("out-of-order", "chunk after the final one");
        const sealed = seal(key, chunkNonce(nonce, counter), aad, chunk);
        counter += 1;
        ended = aad === finalAad;
        return sealed;
      };
      return {
        header: responseNonce,
        seal: (chunk) => serializeChunk(next(chunk, emptyAad)),
        sealFinal: (chunk) => serializeFinalChunk(next(chunk, finalAad)),
      };
    },
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

async function setUp(
  keys: GatewayKeys,
  head: EncapsulatedHead,
  variant: "plain" | "chunked",
): Promise<Recipient> {
  const key = keys.get(head.keyId);
  if (key === undefined || key.config.kemId !== head.kemId) {
    throw new WireError("unknown-key", "request is for a key that is not here");
  }
  return key.kind === "direct" ? setUpDirect(key, head.enc, variant) : setUpPackage(key, head.enc, variant);
}

function setUpDirect(
  key: GatewayKey & { kind: "direct" },
  enc: Bytes,
  variant: "plain" | "chunked",
): Recipient {
  const plain = variant === "plain";
  const context = setUpRecipient(
    key.privateKey,
    key.config.publicKey,
    enc,
    plain ? key.plainContext : key.chunkedContext,
    plain ? plainLabels.response : chunkedLabels.response,
  );
  let sequence = 0;
  return {
    enc,
    secret: context.secret,
    open: async (sealed, aad) => {
      const nonce = sequence === 0 ? context.nonce : chunkNonce(context.nonce, sequence);
      sequence += 1;
      return openDirect(context.key, nonce, aad, sealed);
    },
  };
}

async function setUpPackage(
  key: GatewayKey & { kind: "package" },
  enc: Bytes,
  variant: "plain" | "chunked",
): Promise<Recipient> {
  const plain = variant === "plain";
  try {
    const context = await key.suite.SetupRecipient(key.keyPair, enc, {
      info: plain ? key.plainInfo : key.chunkedInfo,
    });
    const label = plain ? plainLabels.response : chunkedLabels.response;
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

/** Draws the response nonce and derives key and nonce from it (RFC 9458 Section 4.4). */
function drawResponseKeys(recipient: Recipient, random: Random) {
  const responseNonce = random(responseNonceLength);
  const prk = hmac(concatBytes(recipient.enc, responseNonce), recipient.secret);
  const one = new Uint8Array([1]);
  return {
    responseNonce,
    key: hmac(prk, keyLabel, one).subarray(0, nk),
    nonce: hmac(prk, nonceLabel, one).subarray(0, nn),
  };
}

function seal(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, content: Uint8Array): Bytes {
  const cipher = createCipheriv("aes-128-gcm", key, nonce, { authTagLength: nt });
  if (aad.length > 0) cipher.setAAD(aad);
  const sealed = cipher.update(content);
  cipher.final();
  return concatBytes(sealed, cipher.getAuthTag());
}
