// The byte stream under a TLS session whose flights travel as separate exchanges through the relay.
import { type Bytes, concatBytes } from "@sotto/base";
import type { ByteStream } from "@sotto/ratls";
import type { BinaryRequest, HeaderList } from "@sotto/wire";
import type { RelayTransport } from "./relay-transport.ts";
import { SottoError } from "./sotto-error.ts";

// Both flights of the handshake fill one size each, whatever their content.
const openingPadding = 3072; // ClientHello with a hybrid key share 1.5 KiB, token 0.5 KiB
const attestPadding = 1024; // Finished and the attest request
const maxEmptyAnswers = 3;
const recordHeaderLength = 5;

export type RelayStreamOptions = {
  readonly transport: Pick<RelayTransport, "exchange" | "prepare" | "stream">;
  readonly node: string;
  /** Value of the Authorization header of the first exchange. */
  readonly authorization: string;
};

/** What comes back in one exchange, read to its end before the next one's. */
type Answer = { readonly pieces: AsyncGenerator<Bytes, void, undefined>; readonly isStreamed: boolean };

/**
 * The stream of one session with one node. What is written goes out as one flight when that is over; what comes back
 * is read in the order of the flights, also while several are under way, and no faster than it is asked for.
 */
export class RelayStream implements ByteStream {
  readonly #options: RelayStreamOptions;
  readonly #abort = new AbortController();
  readonly #answers: Answer[] = [];
  #outgoing: Bytes[] = [];
  #flights = 0;
  #session: string | undefined;
  #prepared: ReturnType<RelayTransport["prepare"]> | undefined;
  #isStreaming = false;
  #isOver = false;
  #failure: Error | undefined;
  #wake = (): void => {};

  constructor(options: RelayStreamOptions) {
    this.#options = options;
  }

  /** What broke the stream, or undefined. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** From here on flights travel in streamed exchanges; the first envelope is made now. */
  async prepareStreaming(): Promise<void> {
    this.#isStreaming = true;
    this.#prepared = this.#options.transport.prepare();
    await this.#prepared;
  }

  /** Takes bytes of the flight in progress. */
  readonly write = async (bytes: Bytes): Promise<void> => {
    if (this.#isOver) return;
    this.#outgoing.push(bytes);
    // The ClientHello is a flight by itself, one record whose header tells its length. The ends of later flights can't
    // be told from their bytes.
    if (this.#flights === 0 && isWholeRecord(concatBytes(...this.#outgoing))) this.endFlight();
  };

  /** Sends what has been written as one flight. */
  endFlight(): void {
    const flight = concatBytes(...this.#outgoing);
    this.#outgoing = [];
    if (flight.length === 0 || this.#isOver) return;
    const isStreamed = this.#isStreaming;
    const answer = isStreamed ? this.#streamFlight(flight) : this.#exchangeFlight(flight);
    answer.catch(() => {}); // told when it is read
    this.#answers.push({ pieces: piecesOf(answer), isStreamed });
    this.#flights += 1;
    this.#wake();
  }

  /** The next bytes, undefined at the end; rejects with `SottoError`. One read at a time. */
  readonly read = async (): Promise<Bytes | undefined> => {
    while (!this.#isOver) {
      const [answer] = this.#answers;
      if (answer === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      const next = await answer.pieces.next().catch((cause: unknown) => this.#fail(cause));
      if (next.done !== true) {
        if (next.value.length > 0) return next.value;
        continue;
      }
      this.#answers.shift();
      // The node goes on in the answer to a later flight; without one, a session that has not ended never would.
      if (answer.isStreamed && this.#answers.length === 0) this.destroy();
    }
    return undefined;
  };

  /** There is nothing to say about that: the end of a session travels in it. */
  readonly end = (): void => {};

  /** Ends every exchange; a read under way gets the end. */
  readonly destroy = (): void => {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#outgoing = [];
    this.#abort.abort();
    this.#wake();
    for (const { pieces } of this.#answers.splice(0)) pieces.return().catch(() => {});
  };

  #fail(cause: unknown): IteratorReturnResult<void> {
    // Exchanges that were given up break as well, which is nobody's failure.
    if (this.#isOver) return { done: true, value: undefined };
    // A key that goes away after the token was spent costs the session: only before could the token be used again.
    const isLate = cause instanceof SottoError && cause.code === "stale-key" && this.#session !== undefined;
    if (isLate || !(cause instanceof Error))
      this.#failure = new SottoError("session-lost", "session: exchange failed", { cause });
    else this.#failure = cause;
    this.destroy();
    throw this.#failure;
  }

  async #exchangeFlight(flight: Bytes): Promise<Iterable<Bytes>> {
    const { transport } = this.#options;
    let content = flight;
    for (let attempt = 0; attempt < maxEmptyAnswers; attempt += 1) {
      const response = await transport.exchange(
        this.#request(content),
        this.#session === undefined ? openingPadding : attestPadding,
        this.#abort.signal,
      );
      this.#check(response.status, response.headers);
      if (response.content.length > 0) return [response.content];
      // The node had nothing to say yet: ask again with an empty flight.
      content = new Uint8Array();
    }
    throw new SottoError("session-lost", "node does not answer");
  }

  async #streamFlight(flight: Bytes): Promise<AsyncIterable<Bytes>> {
    const { transport } = this.#options;
    const prepared = this.#prepared ?? transport.prepare();
    this.#prepared = undefined;
    const response = await transport.stream(this.#request(flight), await prepared, this.#abort.signal);
    this.#check(response.status, response.headers);
    return response.content;
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

/** Whether these bytes reach to the end of the record that they begin with (RFC 8446 Section 5.1). */
function isWholeRecord(bytes: Bytes): boolean {
  if (bytes.length < recordHeaderLength) return false;
  return bytes.length >= recordHeaderLength + new DataView(bytes.buffer).getUint16(3);
}

async function* piecesOf(
  answer: Promise<Iterable<Bytes> | AsyncIterable<Bytes>>,
): AsyncGenerator<Bytes, void, undefined> {
  yield* await answer;
}
