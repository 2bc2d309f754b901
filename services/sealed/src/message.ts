// What a sealed process and the one that started it say to each other over the child's standard streams. Text is
// never among it: streams carry ciphertext, everything else has a fixed form. Neither end trusts the other.
import { type Bytes, ByteWriter, CodedError } from "@sotto/base";

export type MessageErrorCode = "unknown-message" | "too-large" | "malformed" | "out-of-order";

/** The other end said something that it must not. */
export class MessageError extends CodedError<MessageErrorCode> {}

/** Sessions whose ciphertext passes between the two. */
export const streamNames = ["client", "predictor", "guard"] as const;
export type StreamName = (typeof streamNames)[number];

/**
 * Message types. From the child: `locked`, `ready`, `flight`, `attest`, `turn`, `done`; from the parent: `assign`,
 * `evidence`, `refusal`, `go`; the streams and their ends: from both. `attest`, `evidence` and `refusal` begin with the
 * stream that they are about.
 */
export const messageType = {
  client: 1,
  predictor: 2,
  guard: 3,
  clientEnd: 4,
  predictorEnd: 5,
  guardEnd: 6,
  locked: 7,
  ready: 8,
  assign: 9,
  flight: 10,
  attest: 11,
  evidence: 12,
  refusal: 13,
  turn: 14,
  go: 15,
  done: 16,
} as const;
export type MessageType = (typeof messageType)[keyof typeof messageType];

/** The message that ends each stream. */
export const endType = {
  client: messageType.clientEnd,
  predictor: messageType.predictorEnd,
  guard: messageType.guardEnd,
} as const satisfies Record<StreamName, MessageType>;

/** Messages that either end may send: the streams and their ends. */
export const streamTypes: readonly MessageType[] = streamNames.flatMap((name) => [
  messageType[name],
  endType[name],
]);

export type Message = { readonly type: MessageType; readonly content: Bytes };

/** Longest piece of a stream. */
export const maxPiece = 64 * 1024;
const maxEvidence = 512 * 1024; // two bundles at their limit
const headLength = 1 + 3; // type, length
const firstBytes = 4096; // set aside before any content has come

const maxLength: Readonly<Record<MessageType, number>> = {
  [messageType.client]: maxPiece,
  [messageType.predictor]: maxPiece,
  [messageType.guard]: maxPiece,
  [messageType.clientEnd]: 0,
  [messageType.predictorEnd]: 0,
  [messageType.guardEnd]: 0,
  [messageType.locked]: 2,
  [messageType.ready]: 1,
  [messageType.assign]: 0,
  [messageType.flight]: 4,
  [messageType.attest]: maxEvidence,
  [messageType.evidence]: maxEvidence,
  [messageType.refusal]: 2,
  [messageType.turn]: 1,
  [messageType.go]: 0,
  [messageType.done]: 1,
};

/** `u8 type || u24 length || content`; throws `MessageError`. */
export function serializeMessage(type: MessageType, content: Uint8Array = new Uint8Array()): Bytes {
  if (content.length > maxLength[type]) throw new MessageError("too-large", "message: over its limit");
  return new ByteWriter().u8(type).u24(content.length).bytes(content).finish();
}

/** A piece of a stream, as one message or more. */
export function serializePieces(name: StreamName, bytes: Uint8Array): Bytes[] {
  const messages: Bytes[] = [];
  for (let offset = 0; offset < bytes.length || offset === 0; offset += maxPiece) {
    messages.push(serializeMessage(messageType[name], bytes.subarray(offset, offset + maxPiece)));
  }
  return messages;
}

/**
 * Cuts a byte stream into messages of the types given. What is not among them, or longer than its kind may be, is
 * refused at its head; nothing after that is read. Memory follows what has come, not what a head announces.
 */
export class MessageParser {
  readonly #accepted: ReadonlySet<number>;
  readonly #head = new Uint8Array(headLength);
  #headFilled = 0;
  #length = 0;
  #content: Bytes = new Uint8Array();
  #filled = 0;
  #refused: MessageError | undefined;

  constructor(accepted: readonly MessageType[]) {
    this.#accepted = new Set(accepted);
  }

  /** Takes the next bytes and returns the messages that they complete; throws `MessageError`. */
  push(bytes: Uint8Array): Message[] {
    if (this.#refused !== undefined) throw this.#refused;
    const messages: Message[] = [];
    for (let rest = bytes; ; ) {
      if (this.#headFilled < headLength) {
        rest = this.#readHead(rest);
        if (this.#headFilled < headLength) return messages;
      }
      rest = this.#readContent(rest);
      if (this.#filled < this.#length) return messages;
      messages.push({ type: this.#checkType(), content: this.#content });
      this.#headFilled = 0;
    }
  }

  #readContent(bytes: Uint8Array): Uint8Array {
    const taken = bytes.subarray(0, this.#length - this.#filled);
    const filled = this.#filled + taken.length;
    if (filled > this.#content.length) {
      const grown = new Uint8Array(Math.min(Math.max(filled, 2 * this.#content.length), this.#length));
      grown.set(this.#content.subarray(0, this.#filled));
      this.#content = grown;
    }
    this.#content.set(taken, this.#filled);
    this.#filled = filled;
    return bytes.subarray(taken.length);
  }

  #readHead(bytes: Uint8Array): Uint8Array {
    const taken = bytes.subarray(0, headLength - this.#headFilled);
    this.#head.set(taken, this.#headFilled);
    this.#headFilled += taken.length;
    if (this.#headFilled < headLength) return bytes.subarray(taken.length);
    const length = new DataView(this.#head.buffer).getUint32(0) & 0xffffff;
    if (length > maxLength[this.#checkType()]) {
      throw this.#refuse("too-large", "message: over its limit");
    }
    this.#length = length;
    this.#content = new Uint8Array(Math.min(length, firstBytes));
    this.#filled = 0;
    return bytes.subarray(taken.length);
  }

  #checkType(): MessageType {
    const type = this.#head[0] ?? 0;
    if (!isMessageType(type) || !this.#accepted.has(type)) {
      throw this.#refuse("unknown-message", "message: not of a kind that this end may send");
    }
    return type;
  }

  #refuse(code: MessageErrorCode, message: string): MessageError {
    this.#refused = new MessageError(code, message);
    return this.#refused;
  }
}

function isMessageType(type: number): type is MessageType {
  return type >= messageType.client && type <= messageType.done;
}

/** Which stream a message belongs to, and whether it ends it; undefined for all others. */
export function streamOf(
  type: MessageType,
): { readonly name: StreamName; readonly isEnd: boolean } | undefined {
  const position = type - messageType.client;
  const name = streamNames[position % streamNames.length];
  if (name === undefined || type > messageType.guardEnd) return undefined;
  return { name, isEnd: position >= streamNames.length };
}

/** How a sealed process ends what it was made for. */
export const outcomes = ["answered", "refused", "failed"] as const;
export type Outcome = (typeof outcomes)[number];

/** Why a sealed process that is up cannot serve as it should; `none` when it can. */
export const obstacles = [
  "none",
  "predictor-refused",
  "predictor-unreachable",
  "guard-refused",
  "guard-unreachable",
] as const;
export type Obstacle = (typeof obstacles)[number];

/** Why the parent gives no evidence. */
export const refusals = ["busy", "failed"] as const;
export type Refusal = (typeof refusals)[number];

/** A word of one of the lists above, as the one byte that stands for it. */
export function serializeWord<Word extends string>(list: readonly Word[], word: Word): Bytes {
  return Uint8Array.of(list.indexOf(word));
}

/** The word that a byte stands for; throws `MessageError`. */
export function parseWord<Word extends string>(list: readonly Word[], byte: number | undefined): Word {
  const word = byte === undefined ? undefined : list[byte];
  if (word === undefined) throw new MessageError("malformed", "message: unknown word");
  return word;
}
