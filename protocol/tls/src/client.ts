// A TLS 1.3 client over bytes, for places that have neither sockets nor a TLS of their own (RFC 8446). One profile: full
// handshakes only, no resumption, no early data, no second ClientHello, no certificate of the client's.
//
// Read with RFC 8446 beside it: parameters, client-hello, server-messages, key-exchange, key-schedule, handshake (the
// order of messages), record-reader, record-protection, message-reader, and this file, which joins them.
import { type Bytes, concatBytes } from "@sotto/base";
import { serializeMessage } from "./client-hello.ts";
import { Handshake, type HandshakeOptions, type HandshakeStep, type TlsPeer } from "./handshake.ts";
import { exportKeys } from "./key-schedule.ts";
import { MessageReader } from "./message-reader.ts";
import {
  type CipherSuite,
  type ContentType,
  contentType,
  handshakeType,
  maxIdleRecords,
  maxPlaintext,
} from "./parameters.ts";
import { RecordProtection, recordHead } from "./record-protection.ts";
import { RecordReader, type TlsRecord } from "./record-reader.ts";
import { parseKeyUpdate } from "./server-messages.ts";
import { alertFor, TlsError } from "./tls-error.ts";

export type TlsClientOptions = HandshakeOptions;

/** What came of one input: bytes for the stream, data of the peer's, and how the session stands. */
export type TlsProgress = {
  readonly output: Bytes;
  readonly data: readonly Bytes[];
  readonly isSecured: boolean;
  readonly isClosed: boolean;
};

type State = "handshake" | "open" | "closed" | "failed";
type Gathered = { readonly output: Bytes[]; readonly data: Bytes[] };

const alertLevel = { warning: 1, fatal: 2 } as const;
const closeNotify = 0;

/** One session; `receive` one call at a time, `send` and `close` one call at a time. */
export class TlsClient {
  /** The ClientHello, as a record: what is written first. */
  readonly hello: Bytes;
  readonly #handshake: Handshake;
  readonly #records = new RecordReader();
  readonly #messages = new MessageReader();
  #state: State = "handshake";
  #suite: CipherSuite | undefined;
  #reading: RecordProtection | undefined;
  #writing: RecordProtection | undefined;
  #exporter: Bytes | undefined;
  #peer: TlsPeer | undefined;
  #hasSeenChangeCipherSpec = false;
  #owesKeyUpdate = false;
  #hasSaidGoodbye = false;
  #idleRecords = 0;
  #failure: unknown;
  /** What was to be written when the session failed. */
  #unwritten: Bytes = new Uint8Array();

  private constructor(handshake: Handshake, hello: Bytes) {
    this.#handshake = handshake;
    this.hello = concatBytes(recordHead(contentType.handshake, hello.length), hello);
  }

  /** Makes key shares and the ClientHello; throws `unsupported-platform`. */
  static async create(options: TlsClientOptions): Promise<TlsClient> {
    const { handshake, hello } = await Handshake.create(options);
    return new TlsClient(handshake, hello);
  }

  /** Whom the session is with, once the handshake is over. */
  get peer(): TlsPeer | undefined {
    return this.#peer;
  }

  /** Takes bytes of the stream; throws `TlsError`, or what `judgeCertificate` threw, after which nothing works. */
  async receive(bytes: Uint8Array): Promise<TlsProgress> {
    this.#requireAlive();
    const gathered: Gathered = { output: [], data: [] };
    try {
      if (this.#state !== "closed") await this.#takeRecords(bytes, gathered);
    } catch (error) {
      // Unless it was dropped meanwhile.
      if (this.#state !== "failed") {
        this.#unwritten = concatBytes(...gathered.output);
        this.#fail(error);
      }
      throw error;
    }
    return {
      output: concatBytes(...gathered.output),
      data: gathered.data,
      isSecured: this.#peer !== undefined,
      isClosed: this.#state === "closed",
    };
  }

  /** Takes the end of the stream; throws `truncated` unless the server has closed before (RFC 8446 Section 6.1). */
  receiveEnd(): void {
    this.#requireAlive();
    if (this.#state === "closed") return;
    const error = new TlsError("truncated", "the stream ended before the session did");
    this.#fail(error);
    throw error;
  }

  /** Protects data and returns the records to write. */
  async send(data: Uint8Array): Promise<Bytes> {
    const output: Bytes[] = [];
    const writing = this.#requireWriting();
    if (this.#owesKeyUpdate) {
      // Before the next data, and in the old key (RFC 8446 Section 4.6.3).
      this.#owesKeyUpdate = false;
      const update = serializeMessage(handshakeType.keyUpdate, new Uint8Array(1));
      output.push(await writing.seal(contentType.handshake, update));
      await writing.update();
    }
    const records: Promise<Bytes>[] = [];
    for (let offset = 0; offset < data.length; offset += maxPlaintext) {
      const piece = data.subarray(offset, offset + maxPlaintext);
      records.push(writing.seal(contentType.applicationData, piece));
    }
    return concatBytes(...output, ...(await Promise.all(records)));
  }

  /** Says that nothing more will be sent, and returns the record that says so (RFC 8446 Section 6.1). */
  async close(): Promise<Bytes> {
    const isUp = this.#state === "open" || this.#state === "closed";
    if (!isUp || this.#hasSaidGoodbye || this.#writing === undefined) return new Uint8Array();
    this.#hasSaidGoodbye = true;
    return this.#writing.seal(contentType.alert, Uint8Array.of(alertLevel.warning, closeNotify));
  }

  /** What to write after `receive` threw, once: the alert that tells the server why. Drops all secrets. */
  async failureAlert(): Promise<Bytes> {
    const failure = this.#failure;
    this.#failure = undefined;
    try {
      if (failure === undefined || this.#hasSaidGoodbye) return new Uint8Array();
      const description = alertFor[failure instanceof TlsError ? failure.code : "bad-certificate"];
      if (description === undefined) return this.#unwritten;
      const alert = Uint8Array.of(alertLevel.fatal, description);
      const record =
        this.#writing === undefined
          ? concatBytes(recordHead(contentType.alert, alert.length), alert)
          : await this.#writing.seal(contentType.alert, alert);
      return concatBytes(this.#unwritten, record);
    } finally {
      this.destroy();
    }
  }

  /** Keying material that both ends share (RFC 8446 Section 7.5); throws `closed` before the handshake is over. */
  exportKeyingMaterial(label: string, context: Uint8Array, length: number): Bytes {
    if (this.#exporter === undefined || this.#suite === undefined)
      throw new TlsError("closed", "session has no exporter now");
    return exportKeys(this.#suite, this.#exporter, label, context, length);
  }

  /** Drops all secrets; nothing works any more. */
  destroy(): void {
    this.#fail(undefined);
    this.#writing?.destroy();
    this.#writing = undefined;
  }

  async #takeRecords(bytes: Uint8Array, gathered: Gathered): Promise<void> {
    for (const record of this.#records.push(bytes)) {
      await this.#takeRecord(record, gathered);
      this.#requireAlive();
      // What comes after the server has closed is nobody's (RFC 8446 Section 6.1).
      if (this.#state === "closed") return;
    }
  }

  async #takeRecord({ type, head, content }: TlsRecord, gathered: Gathered): Promise<void> {
    if (type === contentType.changeCipherSpec) return this.#skipChangeCipherSpec(content);
    if (this.#reading === undefined) {
      if (type === contentType.handshake || type === contentType.alert)
        return this.#takeContent(type, content, gathered);
      throw new TlsError("unexpected-message", "record: data before keys");
    }
    if (type !== contentType.applicationData)
      throw new TlsError("unexpected-message", "record: not protected");
    const opened = await this.#reading.open(head, content);
    this.#requireAlive();
    return this.#takeContent(opened.type, opened.content, gathered);
  }

  /** Servers send one for the sake of old equipment on the way; it means nothing (RFC 8446 Appendix D.4). */
  #skipChangeCipherSpec(content: Bytes): void {
    const isInPlace = this.#state === "handshake" && this.#reading !== undefined && !this.#messages.isWithin;
    if (!isInPlace || this.#hasSeenChangeCipherSpec || content.length !== 1 || content[0] !== 1)
      throw new TlsError("unexpected-message", "record: change cipher spec out of place");
    this.#hasSeenChangeCipherSpec = true;
  }

  async #takeContent(type: ContentType, content: Bytes, gathered: Gathered): Promise<void> {
    if (this.#messages.isWithin && type !== contentType.handshake)
      throw new TlsError("unexpected-message", "record: within a handshake message");
    if (type === contentType.alert) return this.#takeAlert(content);
    if (type === contentType.applicationData) return this.#takeData(content, gathered);
    this.#messages.push(content);
    return this.#state === "handshake" ? this.#takeHandshake(gathered) : this.#takeKeyUpdates();
  }

  #takeData(content: Bytes, gathered: Gathered): void {
    if (this.#state !== "open") throw new TlsError("unexpected-message", "record: data during the handshake");
    if (content.length === 0) this.#countIdle();
    else {
      this.#idleRecords = 0;
      gathered.data.push(content);
    }
  }

  async #takeHandshake(gathered: Gathered): Promise<void> {
    while (this.#state === "handshake") {
      const { expected } = this.#handshake;
      const message = expected === undefined ? undefined : this.#messages.take(expected);
      if (message === undefined) return;
      const step = await this.#handshake.take(message);
      this.#requireAlive();
      await this.#follow(step, gathered);
    }
  }

  async #follow(step: HandshakeStep, gathered: Gathered): Promise<void> {
    if (step.kind === "none") return;
    // A message in one key must not go on in the next (RFC 8446 Section 5.1).
    if (this.#messages.isWithin)
      throw new TlsError("unexpected-message", "handshake: goes on where keys change");
    if (step.kind === "protect") {
      this.#suite = step.suite;
      await this.#changeKeys(step.suite, step.traffic);
      return;
    }
    const suite = this.#suite;
    if (suite === undefined || this.#writing === undefined)
      throw new TlsError("closed", "session was dropped");
    this.#exporter = step.exporter;
    gathered.output.push(await this.#writing.seal(contentType.handshake, step.finished));
    await this.#changeKeys(suite, step.traffic);
    this.#requireAlive();
    this.#peer = step.peer;
    this.#state = "open";
  }

  async #changeKeys(
    suite: CipherSuite,
    traffic: { readonly client: Bytes; readonly server: Bytes },
  ): Promise<void> {
    const [reading, writing] = await Promise.all([
      RecordProtection.create(suite, traffic.server),
      RecordProtection.create(suite, traffic.client),
    ]);
    // Somebody may have dropped the session meanwhile.
    if (this.#state === "failed") {
      reading.destroy();
      writing.destroy();
      throw new TlsError("closed", "session was dropped");
    }
    this.#reading?.destroy();
    this.#writing?.destroy();
    this.#reading = reading;
    this.#writing = writing;
  }

  async #takeKeyUpdates(): Promise<void> {
    for (;;) {
      const message = this.#messages.take(handshakeType.keyUpdate);
      if (message === undefined) return;
      this.#countIdle();
      if (parseKeyUpdate(message.body)) this.#owesKeyUpdate = true;
      if (this.#messages.isWithin)
        throw new TlsError("unexpected-message", "handshake: goes on where keys change");
      await this.#reading?.update();
    }
  }

  #takeAlert(content: Bytes): void {
    const [level, description] = content;
    const isKnown = level === alertLevel.warning || level === alertLevel.fatal;
    if (content.length !== 2 || !isKnown || description === undefined)
      throw new TlsError("malformed", "alert: not in its form");
    if (description === closeNotify && this.#state === "open") this.#state = "closed";
    else throw new TlsError("alert", "server ended the session with an alert", { alert: description });
  }

  #countIdle(): void {
    this.#idleRecords += 1;
    if (this.#idleRecords > maxIdleRecords)
      throw new TlsError("too-many-records", "record: too many in a row that bring no data");
  }

  #requireAlive(): void {
    if (this.#state === "failed") throw new TlsError("closed", "session is closed");
  }

  #requireWriting(): RecordProtection {
    if (
      this.#state === "failed" ||
      this.#peer === undefined ||
      this.#writing === undefined ||
      this.#hasSaidGoodbye
    )
      throw new TlsError("closed", "session takes no data now");
    return this.#writing;
  }

  /** Ends everything but what the last alert is sealed with. */
  #fail(error: unknown): void {
    this.#failure = error;
    this.#state = "failed";
    this.#handshake.destroy();
    this.#reading?.destroy();
    this.#exporter?.fill(0);
    this.#reading = undefined;
    this.#exporter = undefined;
  }
}
