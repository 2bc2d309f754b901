// The byte stream under a TLS session whose flights travel as separate exchanges through the relay.
import { Duplex } from "node:stream";
import { type Bytes, concatBytes } from "@sotto/base";
import type { BinaryRequest, HeaderList } from "@sotto/wire";
import type { PreparedExchange, RelayTransport } from "./relay-transport.ts";
import { SottoError } from "./sotto-error.ts";

// Both flights of the handshake fill one size each, whatever their content.
const openingPadding = 3072; // ClientHello with a hybrid key share 1.5 KiB, token 0.5 KiB
const attestPadding = 1024; // Finished and the attest request
const maxEmptyAnswers = 3;

export type RelayStreamOptions = {
  readonly transport: RelayTransport;
  readonly node: string;
  /** Value of the Authorization header of the first exchange. */
  readonly authorization: string;
};

/** A Duplex for one session with one node: what is written goes out as one flight, when that is over. */
export class RelayStream extends Duplex {
  readonly #options: RelayStreamOptions;
  #outgoing: Bytes[] = [];
  #flushTimer: NodeJS.Immediate | undefined;
  #session: string | undefined;
  #prepared: PreparedExchange | undefined;
  #streaming = false;
  #exchanges = 0;
  #abort = new AbortController();

  constructor(options: RelayStreamOptions) {
    super({ allowHalfOpen: false, decodeStrings: true });
    this.#options = options;
  }

  /** Number of exchanges made so far. */
  get exchanges(): number {
    return this.#exchanges;
  }

  /** From here on flights travel in streamed exchanges; the first envelope is made now. */
  async prepareStreaming(): Promise<void> {
    this.#prepared = await this.#options.transport.prepare();
    this.#streaming = true;
  }

  /** Sends what has been written as one flight. */
  endFlight(): void {
    this.#flush();
  }

  override _read(): void {
    // Input arrives as exchanges are answered; there is nothing to ask for.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error) => void): void {
    this.#outgoing.push(new Uint8Array(chunk));
    // The ClientHello is a flight by itself; the end of every later one is told by `endFlight`, for two exchanges
    // at once could overtake each other.
    if (this.#exchanges === 0) this.#flushTimer ??= setImmediate(() => this.#flush());
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (this.#flushTimer !== undefined) clearImmediate(this.#flushTimer);
    this.#outgoing = [];
    this.#abort.abort();
    callback(error);
  }

  #flush(): void {
    this.#flushTimer = undefined;
    const flight = concatBytes(...this.#outgoing);
    this.#outgoing = [];
    if (flight.length === 0 || this.destroyed) return;
    this.#exchanges += 1;
    const done = this.#streaming ? this.#streamFlight(flight) : this.#exchangeFlight(flight);
    done.catch((error: unknown) => {
      this.destroy(error instanceof Error ? error : new SottoError("session-lost", "exchange failed"));
    });
  }

  async #exchangeFlight(flight: Bytes): Promise<void> {
    const { transport } = this.#options;
    let content = flight;
    for (let attempt = 0; attempt < maxEmptyAnswers; attempt += 1) {
      const response = await transport.exchange(
        this.#request(content),
        this.#session === undefined ? openingPadding : attestPadding,
      );
      this.#check(response.status, response.headers);
      if (response.content.length > 0) {
        this.push(Buffer.from(response.content));
        return;
      }
      // The node had nothing to say yet: ask again with an empty flight.
      content = new Uint8Array();
    }
    throw new SottoError("session-lost", "node does not answer");
  }

  async #streamFlight(flight: Bytes): Promise<void> {
    const { transport } = this.#options;
    const prepared = this.#prepared ?? (await transport.prepare());
    this.#prepared = undefined;
    const response = await transport.stream(this.#request(flight), prepared, this.#abort.signal);
    this.#check(response.status, response.headers);
    for await (const bytes of response.content) {
      if (this.destroyed) return;
      this.push(Buffer.from(bytes));
    }
    // Nothing comes after the answer: a session that has not ended by now never would.
    if (!this.destroyed) this.push(null);
  }

  #request(content: Bytes): BinaryRequest {
    const opening = this.#session === undefined;
    const headers: HeaderList = opening ? [["authorization", this.#options.authorization]] : [];
    return {
      method: "POST",
      scheme: "https",
      authority: `${this.#options.node}.sotto.invalid`,
      path: opening ? "/sessions" : `/sessions/${this.#session}`,
      headers,
      content,
      trailers: [],
    };
  }

  #check(status: number, headers: HeaderList): void {
    if (status === 503 || status === 429) throw new SottoError("busy", "service is busy");
    if (status === 401 || status === 403) throw new SottoError("token-refused", "gateway refused the token");
    if (status !== 200) throw new SottoError("session-lost", "node or gateway refused the session");
    const session = headers.find(([name]) => name === "sotto-session")?.[1];
    if (this.#session === undefined) {
      if (session === undefined || !/^[0-9a-f]{32}$/.test(session)) {
        throw new SottoError("protocol-violation", "gateway: no session handle");
      }
      this.#session = session;
    }
  }
}
