// One session's ciphertext as a Duplex, as TLS wants it.
import { Duplex } from "node:stream";
import type { Bytes } from "@sotto/base";

export type ChannelSink = {
  /** `done` is called when the bytes have been taken. */
  readonly write: (bytes: Uint8Array, done: () => void) => void;
  readonly end: () => void;
};

/** What the other end sends is pushed in by whoever holds the channel. */
export class ChannelStream extends Duplex {
  /** Called after every write. */
  onWrite: (() => void) | undefined;
  readonly #sink: ChannelSink;
  #received = 0;

  constructor(sink: ChannelSink) {
    super({ allowHalfOpen: true, decodeStrings: true });
    this.#sink = sink;
  }

  /** How many pieces have come, empty ones included. */
  get received(): number {
    return this.#received;
  }

  receive(bytes: Bytes): void {
    this.#received += 1;
    if (bytes.length > 0 && !this.readableEnded && !this.destroyed) this.push(Buffer.from(bytes.buffer));
  }

  receiveEnd(): void {
    if (!this.destroyed) this.push(null);
  }

  override _read(): void {
    // The parent sends when there is something; its limits bound how much.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#sink.write(chunk, callback);
    this.onWrite?.();
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#sink.end();
    callback();
  }
}
