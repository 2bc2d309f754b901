// Messages on the TLS stream: type, lengths, content, zero padding (spec/attested-session.md).
import { type Bytes, ByteWriter, isAllZero } from "@sotto/base";
import { limits } from "./profile.ts";
import { RatlsError } from "./ratls-error.ts";

export const frameType = {
  attestRequest: 1,
  attestResponse: 2,
  request: 3,
  response: 4,
  end: 5,
  error: 6,
  accepted: 7,
} as const;
export type FrameType = (typeof frameType)[keyof typeof frameType];

export type Frame = { readonly type: FrameType; readonly content: Bytes };

const headLength = 1 + 4 + 4; // type, content length, padding length
const firstAllocation = 4096;

const maxLength: Readonly<Record<FrameType, number>> = {
  [frameType.attestRequest]: limits.attestRequest,
  [frameType.attestResponse]: limits.attestResponse,
  [frameType.request]: limits.request,
  [frameType.response]: limits.response,
  [frameType.end]: limits.last,
  [frameType.error]: limits.last,
  [frameType.accepted]: 0,
};

/**
 * `u8 type || u32 content length || u32 padding length || content || zeros`
 *
 * Padded so that content and padding are `padTo` bytes. Throws `too-large`.
 */
export function serializeFrame(type: FrameType, content: Uint8Array, padTo = 0): Bytes {
  if (Math.max(content.length, padTo) > maxLength[type]) {
    throw new RatlsError("too-large", "frame: over its limit");
  }
  const padding = Math.max(0, padTo - content.length);
  return new ByteWriter().u8(type).u32(content.length).u32(padding).bytes(content).zeros(padding).finish();
}

/** A frame whose head has been read, on its way in. */
type Incoming = {
  readonly type: FrameType;
  content: Bytes;
  filled: number;
  contentLeft: number;
  paddingLeft: number;
};

/**
 * Cuts a byte stream into frames of the expected types, each byte looked at once.
 *
 * What is not expected is refused at its first byte, what is over a limit at its head; memory follows what has
 * arrived, not what was announced.
 */
export class FrameParser {
  #expected: readonly FrameType[] = [];
  #following: readonly FrameType[] = [];
  readonly #head = new Uint8Array(headLength);
  #headFilled = 0;
  #incoming: Incoming | undefined;

  /**
   * From now on these may come: one frame, and then one of `following`. With `response` among them, any number of those
   * and at most one `attestResponse` come before the one frame.
   */
  expect(types: readonly FrameType[], following: readonly FrameType[] = []): void {
    this.#expected = types;
    this.#following = following;
  }

  /** Lets one more type come, while anything may; what has ended is not opened again. */
  alsoExpect(type: FrameType): void {
    if (this.#expected.length > 0) this.#expected = [...this.#expected, type];
  }

  get isExpecting(): boolean {
    return this.#expected.length > 0;
  }

  /** Takes the next bytes and returns the frames that they complete; throws `RatlsError`. */
  push(bytes: Uint8Array): Frame[] {
    const frames: Frame[] = [];
    for (let rest = bytes; rest.length > 0; ) {
      if (this.#incoming === undefined) rest = this.#readHead(rest);
      const incoming: Incoming | undefined = this.#incoming;
      if (incoming === undefined) continue;
      rest = readPadding(incoming, readContent(incoming, rest));
      if (incoming.contentLeft > 0 || incoming.paddingLeft > 0) continue;
      frames.push({ type: incoming.type, content: incoming.content });
      this.#incoming = undefined;
      this.#headFilled = 0;
      this.#advance(incoming.type);
    }
    return frames;
  }

  #advance(type: FrameType): void {
    if (type === frameType.response) return;
    if (type === frameType.attestResponse && this.#expected.includes(frameType.response)) {
      this.#expected = this.#expected.filter((other) => other !== type);
      return;
    }
    this.#expected = this.#following;
    this.#following = [];
  }

  #readHead(bytes: Uint8Array): Uint8Array {
    if (this.#headFilled === 0) this.#checkType(bytes[0] ?? 0);
    const taken = Math.min(headLength - this.#headFilled, bytes.length);
    this.#head.set(bytes.subarray(0, taken), this.#headFilled);
    this.#headFilled += taken;
    if (this.#headFilled === headLength) this.#incoming = this.#begin(bytes.length - taken);
    return bytes.subarray(taken);
  }

  #begin(available: number): Incoming {
    const view = new DataView(this.#head.buffer);
    const type = this.#checkType(view.getUint8(0));
    const contentLeft = view.getUint32(1);
    const paddingLeft = view.getUint32(5);
    if (contentLeft + paddingLeft > maxLength[type]) {
      throw new RatlsError("too-large", "frame: over its limit");
    }
    const content = new Uint8Array(Math.min(contentLeft, Math.max(firstAllocation, available)));
    return { type, content, filled: 0, contentLeft, paddingLeft };
  }

  #checkType(type: number): FrameType {
    if (!isFrameType(type)) throw new RatlsError("unknown-frame", "frame: unknown type");
    if (!this.#expected.includes(type)) throw new RatlsError("out-of-order", "frame: not its turn");
    return type;
  }
}

function readContent(incoming: Incoming, bytes: Uint8Array): Uint8Array {
  const taken = bytes.subarray(0, Math.min(incoming.contentLeft, bytes.length));
  const needed = incoming.filled + taken.length;
  if (needed > incoming.content.length) {
    const total = incoming.filled + incoming.contentLeft;
    const grown = new Uint8Array(Math.min(total, Math.max(needed, 2 * incoming.content.length)));
    grown.set(incoming.content);
    incoming.content = grown;
  }
  incoming.content.set(taken, incoming.filled);
  incoming.filled = needed;
  incoming.contentLeft -= taken.length;
  return bytes.subarray(taken.length);
}

function readPadding(incoming: Incoming, bytes: Uint8Array): Uint8Array {
  if (incoming.contentLeft > 0) return bytes;
  const taken = bytes.subarray(0, Math.min(incoming.paddingLeft, bytes.length));
  if (!isAllZero(taken)) throw new RatlsError("malformed", "frame: padding is not zero");
  incoming.paddingLeft -= taken.length;
  return bytes.subarray(taken.length);
}

function isFrameType(type: number): type is FrameType {
  return type >= frameType.attestRequest && type <= frameType.accepted;
}
