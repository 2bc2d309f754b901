// A channel over our own TLS. Everything that changes the state of TLS happens in turn; bytes are read from the stream
// below one piece at a time, and none while nobody takes what they hold.
import { type Bytes, concatBytes } from "@sotto/base";
import { TlsClient, TlsError } from "@sotto/tls";
import type { ByteStream, ChannelHandlers, ConnectOptions, SecureChannel } from "./channel.ts";
import { offeredGroups } from "./profile.ts";
import { truncation } from "./ratls-error.ts";
import { tlsFailure } from "./tls-failure.browser.ts";

type Outgoing = {
  readonly bytes: Bytes;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
};

const nothing = (): void => {};

export class TlsChannel implements SecureChannel {
  readonly #stream: ByteStream;
  readonly #options: ConnectOptions;
  #handlers: ChannelHandlers = { secure: nothing, data: nothing, fail: nothing };
  #tls: TlsClient | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #outgoing: Outgoing[] = [];
  #isHeld = false;
  #isWriting = false;
  #isSecure = false;
  #isPaused = false;
  #wake: () => void = nothing;
  #isBroken = false;
  #isDestroyed = false;

  constructor(stream: ByteStream, options: ConnectOptions) {
    this.#stream = stream;
    this.#options = options;
  }

  handle(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    this.#run().catch((error: unknown) => this.#break(error));
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#put(await this.#seal((tls) => tls.send(bytes)));
  }

  async end(bytes: Uint8Array): Promise<void> {
    await this.#put(await this.#seal(async (tls) => concatBytes(await tls.send(bytes), await tls.close())));
    this.#stream.end();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#wake();
  }

  isPaused(): boolean {
    return this.#isPaused;
  }

  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    const ended = truncation(this.#isSecure);
    for (const { reject } of this.#outgoing.splice(0)) reject(ended);
    this.#tls?.destroy();
    this.#tls = undefined;
    this.#stream.destroy();
    this.#wake();
    // Not within the call: who destroys a channel need not expect to be told so meanwhile.
    queueMicrotask(() => this.#handlers.fail(ended));
  }

  isDestroyed(): boolean {
    return this.#isDestroyed;
  }

  exportKeyingMaterial(label: string, context: Bytes, length: number): Bytes {
    return this.#requireTls().exportKeyingMaterial(label, context, length);
  }

  /** Reads to the end of the stream. */
  async #run(): Promise<void> {
    const { alpn, allowClassical, random, judgeCertificate } = this.#options;
    const groups = offeredGroups(allowClassical);
    const tls = await TlsClient.create({ groups, alpn, random, judgeCertificate });
    if (this.#isDestroyed) {
      tls.destroy();
      return;
    }
    this.#tls = tls;
    this.#putAside(tls.hello);
    while (!this.#isDestroyed) {
      if (this.#isPaused) await new Promise<void>((resolve) => (this.#wake = resolve));
      else await this.#takeNext(tls);
    }
  }

  async #takeNext(tls: TlsClient): Promise<void> {
    let bytes: Bytes | undefined;
    try {
      bytes = await this.#stream.read();
    } catch (cause) {
      throw truncation(this.#isSecure, cause);
    }
    if (this.#isDestroyed) return;
    if (bytes === undefined) {
      tls.receiveEnd();
      throw truncation(this.#isSecure);
    }
    const received = bytes;
    const { output, data, isSecured, isClosed } = await this.#inTurn(() => tls.receive(received));
    if (isSecured && !this.#isSecure) await this.#becomeSecure(output);
    else this.#putAside(output);
    for (const piece of data) this.#handlers.data(piece);
    if (isClosed) throw truncation(this.#isSecure);
  }

  /** Lets what is said at once leave together with the last of the handshake. */
  async #becomeSecure(finished: Bytes): Promise<void> {
    this.#isSecure = true;
    this.#isHeld = true;
    this.#putAside(finished);
    this.#handlers.secure();
    if (this.#isDestroyed) return;
    await this.#inTurn(async () => {});
    this.#isHeld = false;
    this.#flush();
  }

  #requireTls(): TlsClient {
    if (this.#tls === undefined || this.#isBroken || this.#isDestroyed) throw truncation(this.#isSecure);
    return this.#tls;
  }

  #inTurn<T>(act: (tls: TlsClient) => Promise<T>): Promise<T> {
    const result = this.#turn.then(() => act(this.#requireTls()));
    this.#turn = result.catch(nothing);
    return result;
  }

  async #seal(act: (tls: TlsClient) => Promise<Bytes>): Promise<Bytes> {
    try {
      return await this.#inTurn(act);
    } catch (error) {
      throw error instanceof TlsError ? tlsFailure(error, this.#isSecure) : error;
    }
  }

  #put(bytes: Bytes): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isDestroyed) {
        reject(truncation(this.#isSecure));
        return;
      }
      this.#outgoing.push({ bytes, resolve, reject });
      this.#flush();
    });
  }

  /** Puts what TLS itself has to say; whether it arrives shows in what comes back. */
  #putAside(bytes: Bytes): void {
    if (bytes.length > 0) this.#put(bytes).catch(nothing);
  }

  #flush(): void {
    if (this.#isHeld || this.#isWriting || this.#outgoing.length === 0) return;
    const written = this.#outgoing.splice(0);
    this.#isWriting = true;
    this.#stream.write(concatBytes(...written.map(({ bytes }) => bytes))).then(
      () => {
        this.#isWriting = false;
        for (const { resolve } of written) resolve();
        this.#flush();
      },
      (cause: unknown) => {
        const error = truncation(this.#isSecure, cause);
        for (const { reject } of written) reject(error);
        this.#break(error);
      },
    );
  }

  async #break(cause: unknown): Promise<void> {
    if (this.#isBroken || this.#isDestroyed) return;
    this.#isBroken = true; // whatever is still said while the alert is made
    const error = cause instanceof TlsError ? tlsFailure(cause, this.#isSecure) : cause;
    const alert = await this.#tls?.failureAlert().catch(() => undefined);
    if (this.#isDestroyed) return;
    // As a courtesy to an honest peer, which is not waited for.
    if (alert !== undefined && alert.length > 0 && !this.#isWriting) this.#stream.write(alert).catch(nothing);
    this.#handlers.fail(error instanceof Error ? error : truncation(this.#isSecure, error));
    this.destroy();
  }
}
