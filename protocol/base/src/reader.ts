// The one reader of binary formats: length before read, no partial result, nothing left over.
import type { Bytes } from "./bytes.ts";
import { EncodingError } from "./coded-error.ts";

/** Reads a byte string from the front; every method throws `EncodingError` rather than return less. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Position of the next byte. */
  get offset(): number {
    return this.#offset;
  }

  /** Number of bytes not yet read. */
  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  #advance(length: number): number {
    if (length > this.remaining) throw new EncodingError("truncated", "input ends early");
    const start = this.#offset;
    this.#offset += length;
    return start;
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2));
  }

  u24(): number {
    const start = this.#advance(3);
    return this.#view.getUint16(start) * 0x100 + this.#view.getUint8(start + 2);
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4));
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8));
  }

  u16le(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }

  u32le(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  u64le(): bigint {
    return this.#view.getBigUint64(this.#advance(8), true);
  }

  /** A copy of the next `length` bytes. */
  bytes(length: number): Bytes {
    const start = this.#advance(length);
    return new Uint8Array(this.#bytes.subarray(start, start + length));
  }

  /** The next `length` bytes themselves, for what is too large to copy; later changes show in both. */
  view(length: number): Uint8Array {
    const start = this.#advance(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** A copy of everything left. */
  rest(): Bytes {
    return this.bytes(this.remaining);
  }

  /** A vector with a length prefix of 1 to 4 bytes, at most `maxLength` bytes long. */
  vector(prefix: 1 | 2 | 3 | 4, maxLength: number): Bytes {
    const length =
      prefix === 1 ? this.u8() : prefix === 2 ? this.u16() : prefix === 3 ? this.u24() : this.u32();
    if (length > maxLength) throw new EncodingError("too-large", "vector is longer than its limit");
    return this.bytes(length);
  }

  /** A variable-length integer, in any of its widths (RFC 9000 Section 16). */
  varint(): number {
    const first = this.u8();
    const width = 1 << (first >> 6);
    let value = BigInt(first & 0x3f);
    for (let index = 1; index < width; index += 1) value = (value << 8n) | BigInt(this.u8());
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new EncodingError("out-of-range", "integer is larger than 2^53");
    }
    return Number(value);
  }

  /** Throws unless everything has been read. */
  end(): void {
    if (this.remaining !== 0) throw new EncodingError("trailing-bytes", "input goes on after its end");
  }
}
