// Messages on the TLS stream: type, lengths, content, zero padding (spec/attested-session.md).
import { ByteReader, type Bytes, ByteWriter, isAllZero } from "@sotto/base";
import { limits } from "./profile.ts";
import { RatlsError } from "./ratls-error.ts";

export const frameType = {
  attestRequest: 1,
  attestResponse: 2,
  request: 3,
  response: 4,
  end: 5,
  error: 6,
} as const;
export type FrameType = (typeof frameType)[keyof typeof frameType];

export type Frame = { readonly type: FrameType; readonly content: Bytes };

const headLength = 1 + 4 + 4;

const maxContent: Readonly<Record<FrameType, number>> = {
  [frameType.attestRequest]: limits.attestRequest,
  [frameType.attestResponse]: limits.attestResponse,
  [frameType.request]: limits.request,
  [frameType.response]: limits.response,
  [frameType.end]: 0,
  [frameType.error]: limits.error,
};

/** `u8 type || u32 content length || u32 padding length || content || zeros`; padded to `padTo` bytes of content. */
export function serializeFrame(type: FrameType, content: Uint8Array, padTo = 0): Bytes {
  const padding = Math.max(0, padTo - content.length);
  return new ByteWriter().u8(type).u32(content.length).u32(padding).bytes(content).zeros(padding).finish();
}

/** Cuts a byte stream into frames; holds at most one frame, and refuses before reading what is over a limit. */
export class FrameParser {
  #pieces: Uint8Array[] = [];
  #length = 0;

  /** Takes the next bytes and returns the frames that they complete; throws `RatlsError`. */
  push(bytes: Uint8Array): Frame[] {
    this.#pieces.push(bytes);
    this.#length += bytes.length;
    const frames: Frame[] = [];
    for (;;) {
      if (this.#length < headLength) return frames;
      const buffer = this.#joined();
      const reader = new ByteReader(buffer);
      const type = reader.u8();
      const contentLength = reader.u32();
      const paddingLength = reader.u32();
      if (!isFrameType(type)) throw new RatlsError("malformed", "frame: unknown type");
      if (contentLength > maxContent[type] || paddingLength > limits.padding) {
        throw new RatlsError("too-large", "frame: over its limit");
      }
      const total = headLength + contentLength + paddingLength;
      if (this.#length < total) return frames;
      const content = reader.bytes(contentLength);
      if (!isAllZero(buffer.subarray(headLength + contentLength, total))) {
        throw new RatlsError("malformed", "frame: padding is not zero");
      }
      frames.push({ type, content });
      this.#pieces = total < buffer.length ? [buffer.subarray(total)] : [];
      this.#length -= total;
    }
  }

  /** Whether a frame has begun and not ended. */
  get isInside(): boolean {
    return this.#length > 0;
  }

  #joined(): Uint8Array {
    const [only] = this.#pieces;
    if (this.#pieces.length === 1 && only !== undefined) return only;
    const buffer = new Uint8Array(Buffer.concat(this.#pieces));
    this.#pieces = [buffer];
    return buffer;
  }
}

function isFrameType(type: number): type is FrameType {
  return type >= frameType.attestRequest && type <= frameType.error;
}
