// Cuts a byte stream into records (RFC 8446 Section 5.1); each is refused at its head, memory follows what has come.
import type { Bytes } from "@sotto/base";
import { contentType, maxExpansion, maxPlaintext, tls12 } from "./parameters.ts";
import { TlsError } from "./tls-error.ts";

/** A record as it came; `head` is what protection authenticates beside it. */
export type TlsRecord = { readonly type: number; readonly head: Bytes; readonly content: Bytes };

const headLength = 5;
const firstBytes = 2048;

/** One reader for one stream. */
export class RecordReader {
  #buffer: Bytes = new Uint8Array(firstBytes);
  #length = 0;

  /** Takes the next bytes and gives the records that they complete, one at a time; throws `TlsError`. */
  *push(bytes: Uint8Array): Generator<TlsRecord, void, undefined> {
    this.#append(bytes);
    let offset = 0;
    while (offset < this.#length) {
      const left = this.#length - offset;
      checkType(this.#buffer[offset] ?? 0);
      if (left < headLength) break;
      const head = this.#buffer.slice(offset, offset + headLength);
      const length = checkHead(head);
      if (left < headLength + length) break;
      const start = offset + headLength;
      offset = start + length;
      yield { type: head[0] ?? 0, head, content: this.#buffer.slice(start, offset) };
    }
    this.#buffer.copyWithin(0, offset, this.#length);
    this.#length -= offset;
  }

  #append(bytes: Uint8Array): void {
    const needed = this.#length + bytes.length;
    if (needed > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.#buffer.length));
      grown.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = grown;
    }
    this.#buffer.set(bytes, this.#length);
    this.#length = needed;
  }
}

/** Length of the content that a head announces. */
function checkHead(head: Bytes): number {
  const view = new DataView(head.buffer);
  if (view.getUint16(1) !== tls12) throw new TlsError("bad-record", "record: version is not 3.3");
  const length = view.getUint16(3);
  const isProtected = view.getUint8(0) === contentType.applicationData;
  if (length > (isProtected ? maxPlaintext + maxExpansion : maxPlaintext))
    throw new TlsError("too-large", "record: over its limit");
  return length;
}

function checkType(type: number): void {
  if (type < contentType.changeCipherSpec || type > contentType.applicationData)
    throw new TlsError("unexpected-message", "record: not of a type that is known");
}
