// A TLS 1.3 server for tests that sends whatever a script says: the honest flight with messages left out, repeated,
// moved or bent, records cut and sealed in any way. A second implementation: it shares nothing with `src`.
import { randomBytes, sign } from "node:crypto";
import { type Bytes, concatBytes, copyBytes, encodeHex, equalBytes } from "@sotto/base";
import { agree, createIdentity, type Identity } from "./hostile-identity.ts";
import {
  digestOf,
  Protection,
  plainRecord,
  Schedule,
  type Shape,
  type Suite,
  suites,
} from "./hostile-keys.ts";
import * as messages from "./hostile-messages.ts";
import {
  applicationData,
  changeCipherSpec,
  closeNotify,
  contentTypes,
  type Item,
  type Level,
  type Moment,
  type Script,
  type Step,
} from "./hostile-script.ts";

let shared: Identity | undefined;
/** One identity for all servers that bring none, since making one takes longer than a handshake. */
export const sharedIdentity = (): Identity => {
  shared ??= createIdentity();
  return shared;
};

/** What the client has been heard to say. */
export type Heard = {
  /** Whether its Finished came, and was over what was sent. */
  isFinished: boolean;
  data: Bytes;
  alerts: number[];
  keyUpdates: number;
  /** Anything that no client may say: what does not open, or is of another kind. */
  isOdd: boolean;
};

/** One connection; bytes in, bytes out. */
export class HostileServer {
  readonly #script: Script;
  readonly #suite: Suite;
  readonly heard: Heard = {
    isFinished: false,
    data: new Uint8Array(),
    alerts: [],
    keyUpdates: 0,
    isOdd: false,
  };
  #held: Bytes = new Uint8Array();
  #clientHello: messages.ClientHello | undefined;
  #schedule: Schedule | undefined;
  #transcript: Bytes = new Uint8Array();
  #atHello: Bytes | undefined;
  #atFinished: Bytes | undefined;
  readonly #writers = new Map<Level, Protection>();
  #reader: Protection | undefined;
  readonly #signatures = new Map<string, Bytes>();

  constructor(script: Script = {}) {
    this.#script = script;
    this.#suite = script.suite ?? suites.aes128;
  }

  /** Takes bytes of the client's and gives what is sent in answer, lazily, and once. */
  receive(bytes: Uint8Array): Iterable<Bytes> {
    this.#held = concatBytes(this.#held, bytes);
    let answer: Iterable<Bytes> = [];
    while (this.#held.length >= 5) {
      const end = 5 + (this.#held[3] ?? 0) * 0x100 + (this.#held[4] ?? 0);
      if (this.#held.length < end) break;
      const record = this.#held.slice(0, end);
      this.#held = this.#held.slice(end);
      if (this.#clientHello === undefined) {
        this.#clientHello = messages.parseClientHello(record.slice(5));
        answer = this.#answer(this.#clientHello);
      } else this.#hear(record);
    }
    return answer;
  }

  /** Whether a ClientHello has come, and so the answer has been given. */
  get hasHello(): boolean {
    return this.#clientHello !== undefined;
  }

  /** A record to send after the handshake, in order with the ones before. */
  say(type: number, content: Uint8Array, shape?: Shape): Bytes {
    return this.#writer("application").seal(type, content, shape);
  }

  exportKeyingMaterial(label: string, context: Uint8Array, length: number): Bytes {
    if (this.#schedule === undefined || this.#atFinished === undefined) throw new Error("no handshake yet");
    return this.#schedule.exporter(this.#atFinished, label, context, length);
  }

  *#answer(clientHello: messages.ClientHello): Generator<Bytes, void, undefined> {
    const group = clientHello.shares.has(messages.groups.hybrid)
      ? messages.groups.hybrid
      : messages.groups.x25519;
    const agreement = agree(group, clientHello.shares.get(group) ?? new Uint8Array(32).fill(9));
    const facts = {
      clientHello,
      agreement,
      identity: this.#script.identity ?? sharedIdentity(),
      hello: {
        version: 0x0303,
        random: copyBytes(randomBytes(32)),
        sessionId: clientHello.sessionId,
        suite: this.#suite.id,
        compression: 0,
        extensions: [messages.supportedVersion(0x0304), messages.keyShare(group, agreement.share)],
      },
    };
    this.#schedule = new Schedule(this.#suite, agreement.secret);
    const flight = this.#honestFlight(clientHello);
    const honest = this.#script.transcript === "honest";
    const moments = honest ? this.#rehearse(flight, facts) : new Map<string, Moment>();
    this.#transcript = clientHello.message;
    const steps = this.#script.flight?.(flight) ?? flight;
    const items: Item[] = [];
    for (const { make, name, level, type = contentTypes.handshake, shape, updatesKey } of steps) {
      const content = make(moments.get(name) ?? moments.get("finished") ?? this.#moment(facts));
      const more = { ...(shape && { shape }), ...(updatesKey === true && { updatesKey }) };
      items.push({ level, type, content, ...more });
      if (type === contentTypes.handshake && !honest) this.#record(name, content);
    }
    const records = this.#seal(this.#script.records?.(items) ?? items);
    yield* this.#script.pieces?.(records) ?? [concatBytes(...records)];
  }

  #honestFlight(clientHello: messages.ClientHello): readonly Step[] {
    const alpn = this.#script.alpn ?? "sotto/1";
    const signed = (moment: Moment): Bytes => {
      const place = encodeHex(moment.transcript);
      const signature = this.#signatures.get(place) ?? signOver(moment);
      this.#signatures.set(place, signature);
      return messages.certificateVerify(messages.schemes.p256, signature);
    };
    const step = (name: string, level: Level, make: Step["make"]): Step => ({ name, level, make });
    return [
      step("serverHello", "plain", ({ hello }) => messages.serverHello(hello)),
      // The middlebox compatibility mode, for who asked for it (RFC 8446 Appendix D.4).
      ...((this.#script.changeCipherSpec ?? clientHello.sessionId.length > 0) ? [changeCipherSpec] : []),
      step("encryptedExtensions", "handshake", () =>
        messages.encryptedExtensions([messages.protocols(alpn)]),
      ),
      step("certificate", "handshake", ({ identity }) => messages.certificates([identity])),
      step("certificateVerify", "handshake", signed),
      step("finished", "handshake", ({ mac }) => messages.finished(mac)),
      applicationData("pong"),
      closeNotify,
    ];
  }

  /** Goes through the honest flight without sending it, and tells what each of its messages was made from. */
  #rehearse(flight: readonly Step[], facts: Omit<Moment, "transcript" | "mac">): Map<string, Moment> {
    const moments = new Map<string, Moment>();
    this.#transcript = facts.clientHello.message;
    for (const { name, type, make } of flight) {
      if (type !== undefined) continue;
      const moment = this.#moment(facts);
      moments.set(name, moment);
      this.#record(name, make(moment));
    }
    return moments;
  }

  #moment(facts: Omit<Moment, "transcript" | "mac">): Moment {
    const transcript = digestOf(this.#suite, this.#transcript);
    const traffic = this.#schedule?.handshake("s", this.#atHello ?? transcript) ?? new Uint8Array();
    const mac = this.#schedule?.finished(traffic, transcript) ?? new Uint8Array();
    return { ...facts, transcript, mac };
  }

  #record(name: string, content: Bytes): void {
    this.#transcript = concatBytes(this.#transcript, content);
    const hash = () => digestOf(this.#suite, this.#transcript);
    if (name === "serverHello") this.#atHello ??= hash();
    if (name === "finished") this.#atFinished ??= hash();
  }

  *#seal(items: Iterable<Item>): Generator<Bytes, void, undefined> {
    for (const { level, type, content, shape, bend, updatesKey } of items) {
      const record =
        level === "plain"
          ? plainRecord(type, content, shape)
          : this.#writer(level).seal(type, content, shape);
      yield bend?.(record) ?? record;
      if (updatesKey === true) this.#writer(level).update();
    }
  }

  #writer(level: Level): Protection {
    let writer = this.#writers.get(level);
    if (writer === undefined) {
      writer = new Protection(this.#suite, this.#traffic("s", level));
      this.#writers.set(level, writer);
    }
    return writer;
  }

  #traffic(side: "c" | "s", level: Level): Bytes {
    const now = digestOf(this.#suite, this.#transcript);
    if (this.#schedule === undefined) throw new Error("no handshake yet");
    return level === "application"
      ? this.#schedule.application(side, this.#atFinished ?? now)
      : this.#schedule.handshake(side, this.#atHello ?? now);
  }

  #hear(record: Bytes): void {
    const { heard } = this;
    if (record[0] === contentTypes.alert) heard.alerts.push(record[6] ?? 0);
    else if (record[0] === contentTypes.applicationData) {
      this.#reader ??= new Protection(this.#suite, this.#traffic("c", "handshake"));
      try {
        this.#hearOpened(this.#reader.open(record), this.#reader);
      } catch {
        heard.isOdd = true;
      }
    } else if (record[0] !== contentTypes.changeCipherSpec) heard.isOdd = true;
  }

  #hearOpened({ type, content }: ReturnType<Protection["open"]>, reader: Protection): void {
    const { heard } = this;
    if (type === contentTypes.alert) heard.alerts.push(content[1] ?? 0);
    else if (type === contentTypes.applicationData && heard.isFinished)
      heard.data = concatBytes(heard.data, content);
    else if (type === contentTypes.handshake && !heard.isFinished) {
      const traffic = this.#traffic("c", "handshake");
      const mac = this.#schedule?.finished(traffic, this.#atFinished ?? new Uint8Array());
      heard.isFinished = equalBytes(content, messages.finished(mac ?? new Uint8Array()));
      heard.isOdd ||= !heard.isFinished;
      this.#reader = new Protection(this.#suite, this.#traffic("c", "application"));
    } else if (type === contentTypes.handshake && equalBytes(content, messages.keyUpdate(0))) {
      heard.keyUpdates += 1;
      reader.update();
    } else heard.isOdd = true;
  }
}

// The most frequent one of the lengths that a signature may have, so that all flights of one kind are of one length.
const signatureLength = 71;
const p256SpkiLength = 91;

function signOver({ transcript, identity }: Moment): Bytes {
  const content = messages.signedContent("server", transcript);
  for (;;) {
    const signature = copyBytes(sign("sha256", content, identity.key));
    if (signature.length === signatureLength || identity.spki.length !== p256SpkiLength) return signature;
  }
}
