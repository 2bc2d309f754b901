// A strict reader of DER (X.690): definite, minimal lengths; one-byte tags; no partial result.
import type { Bytes } from "./bytes.ts";
import { EncodingError } from "./coded-error.ts";
import { decodeUtf8 } from "./encoding.ts";
import { ByteReader } from "./reader.ts";

/** One element: `raw` is tag, length and content, as signed. */
export type DerElement = { readonly tag: number; readonly content: Bytes; readonly raw: Bytes };

export const derTag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Reads DER elements one after another; throws `EncodingError`. */
export class DerReader {
  readonly #bytes: Uint8Array;
  readonly #reader: ByteReader;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#reader = new ByteReader(bytes);
  }

  get remaining(): number {
    return this.#reader.remaining;
  }

  /** Tag of the next element, or undefined at the end. */
  peek(): number | undefined {
    return this.#bytes[this.#reader.offset];
  }

  /** The next element, of the given tag if one is given. */
  element(tag?: number): DerElement {
    const start = this.#reader.offset;
    const actual = this.#reader.u8();
    if ((actual & 0x1f) === 0x1f) throw new EncodingError("bad-encoding", "der: tag of more than one byte");
    if (tag !== undefined && actual !== tag)
      throw new EncodingError("bad-encoding", "der: other tag expected");
    const content = this.#reader.bytes(this.#length());
    return { tag: actual, content, raw: new Uint8Array(this.#bytes.subarray(start, this.#reader.offset)) };
  }

  /** A reader over the content of the next element. */
  nested(tag: number = derTag.sequence): DerReader {
    return new DerReader(this.element(tag).content);
  }

  end(): void {
    this.#reader.end();
  }

  #length(): number {
    const first = this.#reader.u8();
    if (first < 0x80) return first;
    const width = first & 0x7f;
    if (width === 0 || width > 3) throw new EncodingError("bad-encoding", "der: length out of bounds");
    let length = 0;
    for (let index = 0; index < width; index += 1) length = length * 256 + this.#reader.u8();
    const minimal = width === 1 ? 0x80 : 256 ** (width - 1);
    if (length < minimal) throw new EncodingError("not-canonical", "der: length is not minimal");
    return length;
  }
}

/** Dotted form of an object identifier's content. */
export function parseObjectIdentifier(content: Uint8Array): string {
  const arcs: bigint[] = [];
  let value = 0n;
  let fresh = true;
  for (const byte of content) {
    if (fresh && byte === 0x80) throw new EncodingError("not-canonical", "der: padded object identifier");
    value = (value << 7n) | BigInt(byte & 0x7f);
    fresh = (byte & 0x80) === 0;
    if (fresh) {
      if (arcs.length === 0) {
        const root = value < 40n ? 0n : value < 80n ? 1n : 2n;
        arcs.push(root, value - 40n * root);
      } else arcs.push(value);
      value = 0n;
    }
  }
  if (!fresh || arcs.length === 0) throw new EncodingError("truncated", "der: object identifier ends early");
  return arcs.join(".");
}

/** Reads a UTCTime or GeneralizedTime, in milliseconds (RFC 5280 Section 4.1.2.5). */
export function parseDerTime(reader: DerReader): number {
  const { tag, content } = reader.element();
  const text = decodeUtf8(content);
  const match =
    tag === derTag.utcTime
      ? /^(\d\d)(\d{10})Z$/.exec(text)
      : tag === derTag.generalizedTime
        ? /^(\d{4})(\d{10})Z$/.exec(text)
        : null;
  const [, year = "", rest = ""] = match ?? [];
  const century = tag === derTag.generalizedTime ? "" : Number(year) < 50 ? "20" : "19";
  const [month, day, hour, minute, second] = rest.match(/../g) ?? [];
  const time = Date.parse(`${century}${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  // A day that the month does not have would roll over into the next one.
  if (
    Number.isNaN(time) ||
    !new Date(time).toISOString().replace(/\D/g, "").startsWith(`${century}${year}${rest}`)
  )
    throw new EncodingError("bad-encoding", "time not in its form");
  return time;
}
