// One session's ciphertext on its way out, cut into flights that travel as bodies of separate exchanges. Never holds
// more of it than one exchange may carry.
import type { Bytes } from "@sotto/base";

/** Where the bytes of the exchange in progress go; `end` or `abort` is called exactly once. */
export type FlightSink = {
  /** False when who reads is behind. */
  readonly write: (bytes: Bytes) => boolean;
  readonly end: () => void;
  readonly abort: () => void;
};

const maxUnsentBytes = 1024 * 1024;

/** Knows which exchange is in progress, and what is said while none is. */
export class FlightCarrier {
  #sink: FlightSink | undefined;
  #sent = 0;
  #unsent: Bytes[] = [];
  #unsentBytes = 0;
  #finished = false;

  /**
   * Begins an exchange, for which so many more pieces of input are about to be sent; what the session says next goes
   * out through `sink`. An exchange still in progress is ended as it is: its client has moved on.
   */
  begin(sink: FlightSink, pieces = 1): void {
    this.#sink?.end();
    this.#sink = sink;
    this.#sent += pieces;
    for (const bytes of this.#unsent) sink.write(bytes);
    this.#unsent = [];
    this.#unsentBytes = 0;
    if (this.#finished) this.#end();
  }

  /** Takes what the session says; false when it should wait. Throws when it says too much to nobody. */
  write(bytes: Bytes): boolean {
    if (this.#sink !== undefined) return this.#sink.write(bytes);
    this.#unsentBytes += bytes.length;
    if (this.#unsentBytes > maxUnsentBytes) throw new RangeError("flight without an exchange is too long");
    this.#unsent.push(bytes);
    return true;
  }

  /** The session has nothing more to say for now to the first `received` pieces of input. */
  endFlight(received: number): void {
    // Said of an earlier exchange, or of the first pieces of this one, while the rest was on its way in.
    if (received >= this.#sent) this.#end();
  }

  /** The session has ended in good order. */
  finish(): void {
    this.#finished = true;
    this.#end();
  }

  /** The session is gone: an answer in progress must not look whole. */
  abort(): void {
    this.#finished = true;
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.abort();
  }

  #end(): void {
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.end();
  }
}
