// The byte stream under a TLS session with an orchestrator, without relay and gateway: each flight is one POST.
import { type Agent, type IncomingMessage, request } from "node:http";
import { Duplex } from "node:stream";
import { CodedError } from "@sotto/base";

/** What the orchestrator's own interface says instead of carrying a flight; `message` is the code it gave. */
export class FlightError extends CodedError<"refused" | "broke-off" | "silent"> {}

const maxEmptyAnswers = 3;

/** A Duplex for one session: what is written goes out as one flight, when that is over. */
export class OrchestratorStream extends Duplex {
  readonly #base: string;
  readonly #agent: Agent;
  #outgoing: Buffer[] = [];
  #handle: string | undefined;
  #flights = 0;
  #current: ReturnType<typeof request> | undefined;

  constructor(base: string, agent: Agent) {
    super({ allowHalfOpen: false, decodeStrings: true });
    this.#base = base;
    this.#agent = agent;
  }

  /** Sends what has been written as one flight. */
  endFlight(): void {
    const flight = Buffer.concat(this.#outgoing);
    this.#outgoing = [];
    if (flight.length === 0 || this.destroyed) return;
    this.#flights += 1;
    this.#carry(flight, this.#flights === 3).catch((error: Error) => this.destroy(error));
  }

  override _read(): void {
    // Input arrives as flights are answered.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.#outgoing.push(Buffer.from(chunk));
    // The ClientHello is a flight by itself; the end of every later one is told.
    if (this.#flights === 0) setImmediate(() => this.endFlight());
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#current?.destroy();
    callback(error);
  }

  async #carry(flight: Buffer, isQuestion: boolean): Promise<void> {
    let content = flight;
    for (let attempt = 0; attempt < maxEmptyAnswers; attempt += 1) {
      const length = await this.#exchange(content);
      if (isQuestion) this.push(null); // nothing comes after the answer
      if (isQuestion || length > 0) return;
      content = Buffer.alloc(0);
    }
    throw new FlightError("silent", "node has nothing to say");
  }

  async #exchange(content: Buffer): Promise<number> {
    const response = await this.#post(content);
    if (response.statusCode !== 200) {
      let body = "";
      for await (const text of response.setEncoding("utf8")) body += text;
      throw new FlightError("refused", /"code":"([a-z-]+)"/.exec(body)?.[1] ?? "no code");
    }
    const handle = response.headers["sotto-session"];
    this.#handle ??= typeof handle === "string" ? handle : undefined;
    let length = 0;
    try {
      for await (const bytes of response) {
        length += bytes.length;
        if (!this.destroyed) this.push(bytes);
      }
    } catch (cause) {
      throw new FlightError("broke-off", "answer broke off", { cause });
    }
    return length;
  }

  #post(content: Buffer): Promise<IncomingMessage> {
    const path = this.#handle === undefined ? "/sessions" : `/sessions/${this.#handle}`;
    return new Promise((resolve, reject) => {
      this.#current = request(new URL(path, this.#base), {
        ...{ method: "POST", agent: this.#agent, headers: { "content-length": content.length } },
      });
      this.#current.once("response", resolve);
      this.#current.on("error", (cause) =>
        reject(new FlightError("broke-off", "exchange broke off", { cause })),
      );
      this.#current.end(content);
    });
  }
}
