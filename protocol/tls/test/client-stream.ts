// Our client over a Node stream, for tests that meet servers of others.
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { type Bytes, concatBytes } from "@sotto/base";
import type { TlsClient, TlsProgress } from "@sotto/tls";

/** Feeds what a stream brings to a client, one piece after another, and writes what the client says to it. */
export class ClientStream {
  readonly client: TlsClient;
  readonly #stream: Duplex;
  #received: Bytes = new Uint8Array();
  #latest: TlsProgress | undefined;
  #failure: unknown;
  #isOver = false;
  #pieces = 0;
  #wake = Promise.withResolvers<void>();

  constructor(client: TlsClient, stream: Duplex) {
    this.client = client;
    this.#stream = stream;
    stream.on("error", () => {}); // the end that follows says enough
    stream.write(client.hello);
    void this.#run();
  }

  /** Resolves when the handshake is over. */
  async secured(): Promise<void> {
    await this.#until(() => this.#latest?.isSecured === true);
  }

  /** Resolves with the next `length` bytes of data. */
  async read(length: number): Promise<Bytes> {
    await this.#until(() => this.#received.length >= length);
    const bytes = this.#received.slice(0, length);
    this.#received = this.#received.slice(length);
    return bytes;
  }

  /** Resolves when the stream has brought something, whatever that was, since the last call or beginning. */
  async stirred(): Promise<void> {
    await this.#until(() => this.#pieces > 0);
    this.#pieces = 0;
  }

  /** Resolves when the server has said that it is done. */
  async closed(): Promise<void> {
    await this.#until(() => this.#latest?.isClosed === true);
  }

  async write(data: Uint8Array): Promise<void> {
    if (!this.#stream.write(await this.client.send(data))) await once(this.#stream, "drain");
  }

  async close(): Promise<void> {
    this.#stream.end(await this.client.close());
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#isOver) throw new Error("the stream is over");
      await this.#wake.promise;
    }
  }

  async #run(): Promise<void> {
    try {
      for await (const bytes of this.#stream.iterator({ destroyOnReturn: false })) {
        this.#latest = await this.client.receive(bytes);
        if (this.#latest.output.length > 0) this.#stream.write(this.#latest.output);
        this.#received = concatBytes(this.#received, ...this.#latest.data);
        this.#pieces += 1;
        this.#notify();
      }
      this.client.receiveEnd();
    } catch (error) {
      this.#failure = error;
    }
    this.#isOver = true;
    this.#notify();
  }

  #notify(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}
