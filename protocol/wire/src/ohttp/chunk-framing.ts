// The framing of chunked messages: length and ciphertext, a zero length before the final one
// (draft-ietf-ohai-chunked-ohttp-08 Section 3).
import { ByteReader, type Bytes, ByteWriter, concatBytes, EncodingError } from "@sotto/base";
import { WireError } from "../wire-error.ts";
import { nt } from "./labels.ts";

/** A sealed chunk; the final one is whatever follows the zero length. */
export type SealedChunk = { readonly final: boolean; readonly ciphertext: Bytes };

/** The largest ciphertext of one chunk, in bytes: what a peer can make the other side hold. */
export const maxChunkBytes = 2 * 1024 * 1024;

export function serializeChunk(ciphertext: Bytes): Bytes {
  return new ByteWriter().varint(ciphertext.length).bytes(ciphertext).finish();
}

export function serializeFinalChunk(ciphertext: Bytes): Bytes {
  return new ByteWriter().varint(0).bytes(ciphertext).finish();
}

/** Cuts a byte stream into sealed chunks; the final one is known only when the input is over. */
export class ChunkFraming {
  #pieces: Bytes[] = [];
  #length = 0;
  #inFinal = false;

  /** Takes the next bytes and returns the chunks that they complete; throws `WireError`. */
  push(bytes: Bytes): SealedChunk[] {
    this.#pieces.push(bytes);
    this.#length += bytes.length;
    const chunks: SealedChunk[] = [];
    if (!this.#inFinal) {
      const buffer = concatBytes(...this.#pieces);
      const used = this.#cut(buffer, chunks);
      this.#pieces = used < buffer.length ? [buffer.slice(used)] : [];
      this.#length = buffer.length - used;
    }
    if (this.#length > maxChunkBytes + 8) throw new WireError("too-large", "chunk is over its limit");
    return chunks;
  }

  /** The input is over: the final chunk, or `truncated`. */
  finish(): SealedChunk {
    if (!this.#inFinal) throw new WireError("truncated", "message ends before its final chunk");
    const ciphertext = concatBytes(...this.#pieces);
    if (ciphertext.length < nt) throw new WireError("truncated", "final chunk ends early");
    return { final: true, ciphertext };
  }

  #cut(buffer: Bytes, chunks: SealedChunk[]): number {
    let used = 0;
    while (used < buffer.length) {
      const reader = new ByteReader(buffer.subarray(used));
      let length: number;
      try {
        length = reader.varint();
      } catch (error) {
        if (error instanceof EncodingError && error.code === "truncated") break;
        throw new WireError("too-large", "chunk is over its limit", { cause: error });
      }
      if (length === 0) {
        this.#inFinal = true;
        return used + reader.offset;
      }
      if (length > maxChunkBytes) throw new WireError("too-large", "chunk is over its limit");
      if (length < nt) throw new WireError("malformed", "chunk is shorter than its tag");
      if (reader.remaining < length) break;
      chunks.push({ final: false, ciphertext: reader.bytes(length) });
      used += reader.offset;
    }
    return used;
  }
}
