// The counterpart of base's DerReader (X.690), as far as the development certificates need it.
import { type Bytes, ByteWriter, concatBytes, derTag, EncodingError, encodeUtf8 } from "@sotto/base";

function element(tag: number, ...parts: readonly Uint8Array[]): Bytes {
  const content = concatBytes(...parts);
  const length = content.length;
  const writer = new ByteWriter().u8(tag);
  if (length < 0x80) writer.u8(length);
  else if (length < 0x100) writer.u8(0x81).u8(length);
  else writer.u8(0x82).u16(length);
  return writer.bytes(content).finish();
}

function integer(value: bigint): Bytes {
  if (value < 0n) throw new EncodingError("out-of-range", "der: negative integer");
  const bytes: number[] = [];
  for (let rest = value; rest > 0n; rest >>= 8n) bytes.unshift(Number(rest & 0xffn));
  if (bytes.length === 0 || (bytes[0] ?? 0) >= 0x80) bytes.unshift(0);
  return element(derTag.integer, Uint8Array.from(bytes));
}

function objectIdentifier(text: string): Bytes {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const bytes: number[] = [];
  for (const arc of [40 * first + second, ...rest]) {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) {
      groups.unshift((left & 0x7f) | 0x80);
    }
    bytes.push(...groups);
  }
  return element(derTag.objectIdentifier, Uint8Array.from(bytes));
}

// Years before 2050 are UTCTime, later ones GeneralizedTime (RFC 5280 Section 4.1.2.5).
function time(ms: number): Bytes {
  const digits = new Date(ms).toISOString().replace(/\.\d+Z$|[-:T]/g, "");
  return Number(digits.slice(0, 4)) < 2050
    ? element(derTag.utcTime, encodeUtf8(`${digits.slice(2)}Z`))
    : element(derTag.generalizedTime, encodeUtf8(`${digits}Z`));
}

/** Writers of single DER elements; each returns tag, length and content (X.690). */
export const der = {
  element,
  integer,
  objectIdentifier,
  time,
  null: (): Bytes => element(derTag.null),
  boolean: (value: boolean): Bytes => element(derTag.boolean, Uint8Array.of(value ? 0xff : 0)),
  sequence: (...items: readonly Uint8Array[]): Bytes => element(derTag.sequence, ...items),
  set: (item: Uint8Array): Bytes => element(derTag.set, item),
  octetString: (content: Uint8Array): Bytes => element(derTag.octetString, content),
  bitString: (content: Uint8Array, unusedBits = 0): Bytes =>
    element(derTag.bitString, Uint8Array.of(unusedBits), content),
  utf8String: (text: string): Bytes => element(derTag.utf8String, encodeUtf8(text)),
  printableString: (text: string): Bytes => element(derTag.printableString, encodeUtf8(text)),
  ia5String: (text: string): Bytes => element(derTag.ia5String, encodeUtf8(text)),
  /** A constructed, context-specific element: explicit tagging. */
  explicit: (number: number, item: Uint8Array): Bytes => element(0xa0 | number, item),
} as const;
