// Puts handshake messages together out of records (RFC 8446 Sections 4 and 5.1). Only the message whose turn it is may
// begin, and none is waited for beyond its limit.
import { type Bytes, concatBytes } from "@sotto/base";
import { handshakeType, maxMessage } from "./parameters.ts";
import { TlsError } from "./tls-error.ts";

/** A whole message; `raw` is head and body, as the transcript has it. */
export type HandshakeMessage = { readonly type: number; readonly body: Bytes; readonly raw: Bytes };

const headLength = 4;

/** One reader for one session. */
export class MessageReader {
  #held: Bytes = new Uint8Array();

  /** Whether there is more than what was taken out: no message may go on, nor another begin, where keys change. */
  get isWithin(): boolean {
    return this.#held.length > 0;
  }

  /** Takes the content of one record of handshake messages. */
  push(content: Bytes): void {
    // An empty one would keep this end busy for nothing.
    if (content.length === 0) throw new TlsError("unexpected-message", "handshake: empty record");
    this.#held = concatBytes(this.#held, content);
  }

  /** The next message, once it is whole, which must be of one of these types; throws `TlsError`. */
  take(...expected: readonly number[]): HandshakeMessage | undefined {
    const type = this.#held[0];
    if (type === undefined) return undefined;
    if (!expected.includes(type)) throw unexpected(type);
    if (this.#held.length < headLength) return undefined;
    const length = new DataView(this.#held.buffer).getUint32(0) & 0xffffff;
    if (length > (maxMessage[type] ?? 0))
      throw new TlsError("too-large", "handshake: message over its limit");
    const end = headLength + length;
    if (this.#held.length < end) return undefined;
    const raw = this.#held.slice(0, end);
    this.#held = this.#held.slice(end);
    return { type, raw, body: raw.slice(headLength) };
  }
}

function unexpected(type: number): TlsError {
  return type === handshakeType.newSessionTicket
    ? new TlsError("session-ticket", "handshake: server sent a session ticket")
    : new TlsError("unexpected-message", "handshake: not the message whose turn it is");
}
