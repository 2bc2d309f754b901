// Textual encoding of certificates and keys (RFC 7468), strict.
import type { Bytes } from "./bytes.ts";
import { EncodingError } from "./coded-error.ts";
import { decodeBase64, encodeBase64 } from "./encoding.ts";

/** Writes one PEM block with lines of 64 characters (RFC 7468 Section 3). */
export function serializePem(label: string, der: Uint8Array): string {
  const lines = encodeBase64(der).match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

/**
 * Reads a sequence of PEM blocks of one label, at most `maxBlocks`, nothing else between them.
 *
 * Throws `EncodingError` (RFC 7468 Section 3).
 */
export function parsePem(text: string, label: string, maxBlocks: number): Bytes[] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  const blocks: Bytes[] = [];
  let body: string[] | undefined;
  for (const line of lines) {
    if (body === undefined) {
      if (line !== `-----BEGIN ${label}-----`)
        throw new EncodingError("bad-encoding", "pem: unexpected line");
      if (blocks.length === maxBlocks) throw new EncodingError("too-large", "pem: too many blocks");
      body = [];
    } else if (line === `-----END ${label}-----`) {
      blocks.push(decodeBase64(body.join("")));
      body = undefined;
    } else {
      body.push(line.trim());
    }
  }
  if (body !== undefined) throw new EncodingError("truncated", "pem: block without an end");
  return blocks;
}
