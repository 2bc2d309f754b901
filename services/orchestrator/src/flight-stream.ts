// The byte stream of one TLS session, cut into flights that travel as bodies of separate exchanges.
// Holds ciphertext only, and never more of it than one exchange may carry.
import { Duplex } from "node:stream";
import type { Bytes } from "@sotto/base";

/** Where the bytes of the exchange in progress go; `end` is called exactly once. */
export type FlightSink = {
  readonly write: (bytes: Bytes) => void;
  readonly end: () => void;
  readonly abort: () => void;
};

const maxUnsentBytes = 1024 * 1024;

/** A Duplex whose input is fed exchange by exchange and whose output goes to the exchange in progress. */
export class FlightStream extends Duplex {
  #sink: FlightSink | undefined;
  #unsent: Bytes[] = [];
  #unsentBytes = 0;
  #finished = false;
  #opened = false;

  constructor() {
    super({ allowHalfOpen: false, decodeStrings: true });
  }

  /**
   * Begins an exchange: what it brought goes in, what the session says next comes out through `sink`.
   *
   * An exchange still in progress is ended as it is: its client has moved on.
   */
  exchange(input: Bytes, sink: FlightSink): void {
    this.#sink?.end();
    this.#sink = sink;
    for (const bytes of this.#unsent) sink.write(bytes);
    this.#unsent = [];
    this.#unsentBytes = 0;
    if (this.#finished || this.destroyed) this.endFlight();
    else if (input.length > 0) this.push(Buffer.from(input.buffer, input.byteOffset, input.length));
  }

  /** Ends the exchange in progress: the session has said all it has to say for now. */
  endFlight(): void {
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.end();
  }

  override _read(): void {
    // Input arrives with the next exchange; there is nothing to ask for.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error) => void): void {
    const bytes = new Uint8Array(chunk);
    if (!this.#opened) {
      // The server's first flight leaves in one go, and nobody says so: it is over once a turn of the
      // loop has brought nothing more. What came later would go with the next exchange.
      this.#opened = true;
      setImmediate(() => setImmediate(() => this.endFlight()));
    }
    if (this.#sink !== undefined) this.#sink.write(bytes);
    else {
      this.#unsent.push(bytes);
      this.#unsentBytes += bytes.length;
      if (this.#unsentBytes > maxUnsentBytes) {
        callback(new Error("flight without an exchange is too long"));
        return;
      }
    }
    callback();
  }

  override _final(callback: (error?: Error) => void): void {
    this.#finished = true;
    this.endFlight();
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const sink = this.#sink;
    this.#sink = undefined;
    this.#unsent = [];
    if (error === null) sink?.end();
    else sink?.abort();
    callback(error);
  }
}
