// Carries a session's flights straight to an orchestrator, as the gateway does: without relay, envelope or token.
import { Duplex } from "node:stream";
import { concatBytes, copyBytes } from "@sotto/base";

/** A Duplex for one session; what is written goes out as one flight when `endFlight` says so, the first by itself. */
export class FlightStream extends Duplex {
  readonly #base: URL;
  readonly #abort = new AbortController();
  #outgoing: Uint8Array[] = [];
  #session: string | undefined;
  /** Settles when all exchanges begun so far have been read: a later one takes an earlier one's answer over. */
  #read: Promise<void> = Promise.resolve();

  constructor(orchestrator: string) {
    super({ allowHalfOpen: false, decodeStrings: true });
    this.#base = new URL("/sessions", orchestrator);
  }

  endFlight(): void {
    if (this.#session !== undefined) void this.#send();
  }

  override _read(): void {
    // Input arrives as exchanges are answered; there is nothing to ask for.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error) => void): void {
    if (this.#outgoing.push(copyBytes(chunk)) === 1 && this.#session === undefined)
      setImmediate(() => void this.#send());
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#abort.abort();
    callback(error);
  }

  async #pushAll({ body }: Response): Promise<number> {
    let size = 0;
    for await (const bytes of body ?? []) {
      size += bytes.length;
      this.push(Buffer.from(bytes));
    }
    return size;
  }

  async #send(): Promise<void> {
    try {
      let empties = 0;
      do {
        const body = concatBytes(...this.#outgoing.splice(0));
        const path = this.#session === undefined ? "" : `/${this.#session}`;
        const url = new URL(this.#base.pathname + path, this.#base);
        const response = await fetch(url, { method: "POST", body, signal: this.#abort.signal });
        if (!response.ok) throw new Error(`orchestrator answered ${response.status}`);
        this.#session ??= response.headers.get("sotto-session") ?? "";
        const reading = this.#read.then(() => this.#pushAll(response));
        const done = (): void => {};
        this.#read = reading.then(done, done);
        const size = await reading;
        empties = size === 0 ? empties + 1 : 0;
      } while (empties > 0 && empties < 3);
    } catch (error) {
      if (!this.#abort.signal.aborted)
        this.destroy(error instanceof Error ? error : new Error("exchange failed"));
    }
  }
}
