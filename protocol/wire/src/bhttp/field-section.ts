// Field sections (RFC 9292 Section 3.6): names lowercase tokens, values without control characters.
// Stricter than the RFC in two ways: no pseudo-field at all, and no field that belongs to a connection, since
// messages are made here and never captured from a connection.
import { ByteReader, type Bytes, ByteWriter, EncodingError } from "@sotto/base";
import { WireError } from "../wire-error.ts";
import type { HeaderList, MessageLimits } from "./message.ts";

const namePattern = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const badValuePattern = /[\u0000-\u0008\u000a-\u001f\u007f]|^[ \t]|[ \t]$/;
const connectionFields = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);

/** Writes field lines without the framing around them. */
export function serializeFieldLines(fields: HeaderList): Bytes {
  const writer = new ByteWriter();
  for (const [name, value] of fields) {
    checkField(name, value);
    const valueBytes = encodeLatin1(value);
    writer.varint(name.length).bytes(encodeLatin1(name)).varint(valueBytes.length).bytes(valueBytes);
  }
  return writer.finish();
}

/** A known-length section: its length, then its lines. Missing at the very end means empty. */
export function readKnownSection(reader: ByteReader, limits: MessageLimits): HeaderList {
  if (reader.remaining === 0) return [];
  const length = reader.varint();
  if (length > limits.maxSectionBytes)
    throw new WireError("too-large", "bhttp: field section over its limit");
  const lines = new ByteReader(reader.bytes(length));
  const fields: [string, string][] = [];
  try {
    while (lines.remaining > 0) fields.push(readField(lines, lines.varint(), fields.length, limits));
  } catch (cause) {
    if (!(cause instanceof EncodingError)) throw cause;
    // More input cannot mend a line that leaves its section.
    throw new WireError("malformed", "bhttp: field line crosses the end of its section", { cause });
  }
  return fields;
}

/** An indeterminate-length section: lines until an empty name. Missing at the very end means empty. */
export function readIndeterminateSection(reader: ByteReader, limits: MessageLimits): HeaderList {
  if (reader.remaining === 0) return [];
  const start = reader.offset;
  const fields: [string, string][] = [];
  for (;;) {
    const nameLength = reader.varint();
    if (nameLength === 0) return fields;
    fields.push(readField(reader, nameLength, fields.length, limits));
    if (reader.offset - start > limits.maxSectionBytes) {
      throw new WireError("too-large", "bhttp: field section over its limit");
    }
  }
}

function readField(
  reader: ByteReader,
  nameLength: number,
  count: number,
  limits: MessageLimits,
): [string, string] {
  if (count >= limits.maxFields) throw new WireError("too-large", "bhttp: too many fields");
  if (nameLength > limits.maxSectionBytes)
    throw new WireError("too-large", "bhttp: field name over its limit");
  const name = decodeLatin1(reader.bytes(nameLength));
  const valueLength = reader.varint();
  if (valueLength > limits.maxSectionBytes)
    throw new WireError("too-large", "bhttp: field value over its limit");
  const value = decodeLatin1(reader.bytes(valueLength));
  checkField(name, value);
  return [name, value];
}

function checkField(name: string, value: string): void {
  if (!namePattern.test(name)) throw new WireError("malformed", "bhttp: field name is not a lowercase token");
  if (connectionFields.has(name)) throw new WireError("malformed", "bhttp: field belongs to a connection");
  if (badValuePattern.test(value))
    throw new WireError("malformed", "bhttp: field value holds a forbidden character");
}

/** One byte a character, as fields travel (RFC 9110 Section 5.5). */
export function encodeLatin1(text: string): Bytes {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code > 0xff) throw new WireError("malformed", "bhttp: character beyond one byte");
    bytes[index] = code;
  }
  return bytes;
}

/** Reads one character a byte. */
export function decodeLatin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
