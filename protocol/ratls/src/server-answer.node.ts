// The answer of a session, and the evidence that its client asks for while it goes on: one at a time, and only so often.
import { type Bytes, encodeUtf8 } from "@sotto/base";
import { type FrameType, frameType } from "./frame.ts";
import type { FrameStream } from "./frame-stream.ts";
import { answerPadding, limits, maxReattests } from "./profile.ts";
import { RatlsError } from "./ratls-error.ts";
import { toldCode } from "./told-error.ts";

export type ServerAnswer = {
  /** Writes a piece of the answer, of any length; resolves when it has been handed to the stream. */
  readonly write: (chunk: Uint8Array) => Promise<void>;
  /** Ends the answer; evidence that was asked for before that comes first. */
  readonly end: () => Promise<void>;
  /** Ends the answer as failed; the peer learns a code of lowercase letters, digits and hyphens. */
  readonly fail: (code: string) => Promise<void>;
};

export type ServerAnswerOptions = {
  readonly frames: FrameStream;
  /** Makes evidence for an attest request. */
  readonly makeEvidence: (request: Bytes) => Promise<Bytes>;
  readonly onFlight: (() => void) | undefined;
};

/** Wires the answer; `serveAttests` is called once the request has come. */
export function createServerAnswer({ frames, makeEvidence, onFlight }: ServerAnswerOptions) {
  let ended = false;
  let attesting: Promise<void> = Promise.resolve();
  const finish = async (type: FrameType, content: Uint8Array): Promise<void> => {
    if (ended) throw new RatlsError("out-of-order", "answer has ended");
    ended = true;
    await frames.end(type, content, limits.last);
    onFlight?.();
  };

  const attest = async (request: Bytes, mayAskAgain: boolean): Promise<void> => {
    try {
      const evidence = await makeEvidence(request);
      if (ended) return;
      // Before the evidence leaves: who has it may ask for the next.
      if (mayAskAgain) frames.allow([frameType.attestRequest]);
      await frames.write(frameType.attestResponse, evidence);
    } catch (error) {
      // Without fresh evidence nothing more of the answer may leave.
      if (!ended) await finish(frameType.error, encodeUtf8(toldCode(error))).catch(() => {});
    }
  };

  const serve = async (): Promise<void> => {
    frames.allow([frameType.attestRequest]);
    for (let left = maxReattests; left > 0; left -= 1) {
      const { content } = await frames.read();
      attesting = attest(content, left > 1);
      await attesting;
    }
  };

  const answer: ServerAnswer = {
    write: async (chunk) => {
      for (let offset = 0; offset < chunk.length; offset += limits.response) {
        if (ended) throw new RatlsError("out-of-order", "answer has ended");
        const piece = chunk.subarray(offset, offset + limits.response);
        const padTo = Math.ceil(piece.length / answerPadding) * answerPadding;
        await frames.write(frameType.response, piece, padTo);
      }
    },
    end: async () => {
      for (let seen: Promise<void> | undefined; seen !== attesting; ) {
        seen = attesting;
        await seen;
      }
      await finish(frameType.end, new Uint8Array());
    },
    fail: (code) => finish(frameType.error, encodeUtf8(/^[a-z0-9-]{1,64}$/.test(code) ? code : "failed")),
  };
  return {
    answer,
    // The session's end, whoever made it, ends this too.
    serveAttests: (): void => void serve().catch(() => {}),
  };
}
