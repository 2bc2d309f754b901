// The counterpart of ByteReader.
import { type Bytes, concatBytes } from "./bytes.ts";
import { EncodingError } from "./coded-error.ts";

/** Builds a byte string; every method returns the writer. */
export class ByteWriter {
  readonly #parts: Uint8Array[] = [];

  #number(width: number, write: (view: DataView) => void): this {
    const part = new Uint8Array(width);
    write(new DataView(part.buffer));
    this.#parts.push(part);
    return this;
  }

  u8(value: number): this {
    return this.#number(1, (view) => view.setUint8(0, inRange(value, 0xff)));
  }

  u16(value: number): this {
    return this.#number(2, (view) => view.setUint16(0, inRange(value, 0xffff)));
  }

  u24(value: number): this {
    return this.u8(inRange(value, 0xffffff) >> 16).u16(value & 0xffff);
  }

  u32(value: number): this {
    return this.#number(4, (view) => view.setUint32(0, inRange(value, 0xffffffff)));
  }

  u64(value: bigint): this {
    return this.#number(8, (view) => view.setBigUint64(0, value));
  }

  u16le(value: number): this {
    return this.#number(2, (view) => view.setUint16(0, inRange(value, 0xffff), true));
  }

  u32le(value: number): this {
    return this.#number(4, (view) => view.setUint32(0, inRange(value, 0xffffffff), true));
  }

  u64le(value: bigint): this {
    return this.#number(8, (view) => view.setBigUint64(0, value, true));
  }

  bytes(value: Uint8Array): this {
    this.#parts.push(value);
    return this;
  }

  zeros(length: number): this {
    this.#parts.push(new Uint8Array(length));
    return this;
  }

  /** A vector with a length prefix of 1 to 4 bytes. */
  vector(prefix: 1 | 2 | 3 | 4, value: Uint8Array): this {
    const length = value.length;
    if (prefix === 1) this.u8(length);
    else if (prefix === 2) this.u16(length);
    else if (prefix === 3) this.u24(length);
    else this.u32(length);
    return this.bytes(value);
  }

  /** A variable-length integer in its shortest width (RFC 9000 Section 16). */
  varint(value: number): this {
    if (value < 0x40) return this.u8(inRange(value, 0x3f));
    if (value < 0x4000) return this.u16(0x4000 | value);
    if (value < 0x40000000) return this.u32(0x80000000 + inRange(value, 0x3fffffff));
    return this.u64((3n << 62n) | BigInt(inRange(value, Number.MAX_SAFE_INTEGER)));
  }

  finish(): Bytes {
    return concatBytes(...this.#parts);
  }
}

function inRange(value: number, max: number): number {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new EncodingError("out-of-range", "integer does not fit its field");
  }
  return value;
}
