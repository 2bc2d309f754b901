// The framing of chunked messages: length and ciphertext, a zero length before the final one
// (draft-ietf-ohai-chunked-ohttp-08 Sections 4 and 5).
import { ByteReader, type Bytes, ByteWriter } from "@sotto/base";
import { decryptionFailed, WireError } from "../wire-error.ts";
import { nt } from "./labels.ts";

/**
 * The largest ciphertext of one chunk, in bytes: what a peer can make the other side hold. The draft asks
 * for 16 KiB at least; a whole question travels in one chunk here, so it is far more.
 */
export const maxChunkBytes = 2 * 1024 * 1024;

const maxLengthBytes = 8; // of a variable-length integer
const initialCapacity = 4 * 1024;

/** Writes a chunk that is not the last, its ciphertext given in parts. */
export function serializeChunk(...ciphertext: readonly Uint8Array[]): Bytes {
  const length = ciphertext.reduce((sum, part) => sum + part.length, 0);
  return writeChunk(length, length, ciphertext);
}

/** Writes the final chunk, its ciphertext given in parts. */
export function serializeFinalChunk(...ciphertext: readonly Uint8Array[]): Bytes {
  const length = ciphertext.reduce((sum, part) => sum + part.length, 0);
  return writeChunk(0, length, ciphertext);
}

function writeChunk(written: number, length: number, ciphertext: readonly Uint8Array[]): Bytes {
  if (length > maxChunkBytes) throw new WireError("too-large", "chunk is over its limit");
  const writer = new ByteWriter().varint(written);
  for (const part of ciphertext) writer.bytes(part);
  return writer.finish();
}

/** Cuts a byte stream into sealed chunks; the final one is known only when the input is over. */
export class ChunkFraming {
  // Unread bytes stand between start and end; room grows by doubling, so small pieces cost no more than large.
  #buffer: Bytes = new Uint8Array(initialCapacity);
  #start = 0;
  #end = 0;
  #inFinal = false;

  /** Takes the next bytes and returns the ciphertexts of the chunks that they complete; throws `WireError`. */
  push(bytes: Uint8Array): Bytes[] {
    this.#append(bytes);
    const chunks: Bytes[] = [];
    while (!this.#inFinal) {
      const chunk = this.#next();
      if (chunk === undefined) break;
      chunks.push(chunk);
    }
    if (this.#inFinal && this.#end - this.#start > maxChunkBytes) {
      throw new WireError("too-large", "chunk is over its limit");
    }
    return chunks;
  }

  /** The input is over: the ciphertext of the final chunk; throws `truncated` when there is none. */
  finish(): Bytes {
    if (!this.#inFinal) throw new WireError("truncated", "message ends before its final chunk");
    const ciphertext = this.#buffer.subarray(this.#start, this.#end);
    if (ciphertext.length < nt) throw new WireError("truncated", "final chunk ends early");
    return ciphertext;
  }

  #next(): Bytes | undefined {
    const first = this.#buffer[this.#start];
    if (this.#start === this.#end || first === undefined) return undefined;
    if (this.#end - this.#start < 1 << (first >> 6)) return undefined;
    const reader = new ByteReader(this.#buffer.subarray(this.#start, this.#start + maxLengthBytes));
    const length = readLength(reader);
    if (length === 0) {
      this.#start += reader.offset;
      this.#inFinal = true;
      return undefined;
    }
    // Only the final chunk may be empty, and what is no longer than a tag holds nothing.
    if (length <= nt) throw decryptionFailed();
    const from = this.#start + reader.offset;
    if (this.#end - from < length) return undefined;
    this.#start = from + length;
    return this.#buffer.slice(from, this.#start);
  }

  #append(bytes: Uint8Array): void {
    const unread = this.#end - this.#start;
    const needed = unread + bytes.length;
    if (this.#end + bytes.length > this.#buffer.length) {
      if (needed > this.#buffer.length) {
        const grown = new Uint8Array(Math.max(needed, 2 * this.#buffer.length));
        grown.set(this.#buffer.subarray(this.#start, this.#end));
        this.#buffer = grown;
      } else this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#start = 0;
      this.#end = unread;
    }
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
  }
}

function readLength(reader: ByteReader): number {
  try {
    const length = reader.varint();
    if (length <= maxChunkBytes) return length;
  } catch (cause) {
    throw new WireError("too-large", "chunk is over its limit", { cause });
  }
  throw new WireError("too-large", "chunk is over its limit");
}
