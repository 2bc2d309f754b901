// Hex, base64, base64url and UTF-8: canonical or refused.
import type { Bytes } from "./bytes.ts";
import { EncodingError } from "./coded-error.ts";

const hexDigits = "0123456789abcdef";
const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const base64UrlDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Lowercase hexadecimal. */
export function encodeHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += hexDigits.charAt(byte >> 4) + hexDigits.charAt(byte & 15);
  return text;
}

/** Reads lowercase hexadecimal; throws `EncodingError`. */
export function decodeHex(text: string): Bytes {
  if (text.length % 2 !== 0) throw new EncodingError("bad-encoding", "hex: odd length");
  const bytes = new Uint8Array(text.length / 2);
  for (let index = 0; index < bytes.length; index += 1) {
    const high = hexDigits.indexOf(text.charAt(2 * index));
    const low = hexDigits.indexOf(text.charAt(2 * index + 1));
    if (high < 0 || low < 0) throw new EncodingError("bad-encoding", "hex: not a lowercase digit");
    bytes[index] = (high << 4) | low;
  }
  return bytes;
}

/** Base64 with padding (RFC 4648 Section 4). */
export function encodeBase64(bytes: Uint8Array): string {
  return encodeGroups(bytes, base64Digits, true);
}

/** Reads canonical base64 with padding; throws `EncodingError` (RFC 4648 Section 4). */
export function decodeBase64(text: string): Bytes {
  if (text.length % 4 !== 0)
    throw new EncodingError("bad-encoding", "base64: length is not a multiple of four");
  const unpadded = text.endsWith("==") ? text.slice(0, -2) : text.endsWith("=") ? text.slice(0, -1) : text;
  return decodeGroups(unpadded, base64Digits, "base64");
}

/** Base64url without padding (RFC 4648 Section 5). */
export function encodeBase64Url(bytes: Uint8Array): string {
  return encodeGroups(bytes, base64UrlDigits, false);
}

/** Reads canonical base64url without padding; throws `EncodingError` (RFC 4648 Section 5). */
export function decodeBase64Url(text: string): Bytes {
  return decodeGroups(text, base64UrlDigits, "base64url");
}

function encodeGroups(bytes: Uint8Array, digits: string, padded: boolean): string {
  let text = "";
  for (let index = 0; index < bytes.length; index += 3) {
    const left = bytes.length - index;
    const group = ((bytes[index] ?? 0) << 16) | ((bytes[index + 1] ?? 0) << 8) | (bytes[index + 2] ?? 0);
    text += digits.charAt(group >> 18) + digits.charAt((group >> 12) & 63);
    if (left > 1) text += digits.charAt((group >> 6) & 63);
    else if (padded) text += "=";
    if (left > 2) text += digits.charAt(group & 63);
    else if (padded) text += "=";
  }
  return text;
}

function decodeGroups(text: string, digits: string, format: string): Bytes {
  if (text.length % 4 === 1) throw new EncodingError("bad-encoding", `${format}: impossible length`);
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let bitCount = 0;
  let offset = 0;
  for (const character of text) {
    const value = digits.indexOf(character);
    if (value < 0) throw new EncodingError("bad-encoding", `${format}: not in the alphabet`);
    bits = ((bits << 6) | value) & 0xffff;
    bitCount += 6;
    if (bitCount >= 8) {
      bitCount -= 8;
      bytes[offset] = (bits >> bitCount) & 0xff;
      offset += 1;
    }
  }
  if ((bits & ((1 << bitCount) - 1)) !== 0) {
    throw new EncodingError("not-canonical", `${format}: unused bits are not zero`);
  }
  return bytes;
}

const utf8Encoder = new TextEncoder();
const utf8Decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 bytes of a string. */
export function encodeUtf8(text: string): Bytes {
  return utf8Encoder.encode(text);
}

/** Reads UTF-8; throws `EncodingError` on any malformed sequence. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8Decoder.decode(bytes);
  } catch (cause) {
    throw new EncodingError("bad-encoding", "utf-8: malformed sequence", { cause });
  }
}
