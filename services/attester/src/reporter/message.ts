// What the attester and its reporter say to each other, in fixed forms; neither trusts the other. An attester can ask
// for one thing only, a report about a session, and gives digests: there is no form in which it could give a leaf, a
// root, or the data of a report.
import { sessionDigestsBytes } from "@sotto/attestation/binding";
import { ByteReader, type Bytes, ByteWriter, CodedError, concatBytes } from "@sotto/base";

/** The other end said something that it must not. */
export class ReporterMessageError extends CodedError<"malformed" | "unknown-message" | "too-large"> {}

/** Asks for a report about a session of the reporter's role. */
export type Ask = { readonly id: number; readonly digests: Bytes };

/** Why a session gets no report. */
export const refusalWords = ["busy", "unavailable"] as const;
export type RefusalWord = (typeof refusalWords)[number];

/** A report over a batch of `size` sessions; a `place` for each of them follows, in the order of the batch. */
export type ReportAnswer = {
  readonly kind: "report";
  readonly size: number;
  readonly report: Bytes;
  readonly certificates: Bytes;
};
export type Answer =
  | ReportAnswer
  | { readonly kind: "place"; readonly id: number; readonly path: readonly Bytes[] }
  | { readonly kind: "refusal"; readonly id: number; readonly word: RefusalWord };

export const askBytes = 4 + sessionDigestsBytes;
const answerType = { report: 1, place: 2, refusal: 3 } as const;
const headLength = 1 + 3; // type, length
const hashLength = 32;
const maxPath = 12; // for the 4096 sessions of the largest batch
const maxReportBytes = 4 * 1024;
const maxTableBytes = 32 * 1024;
const maxLength: Readonly<Record<number, number>> = {
  [answerType.report]: 4 + 2 + maxReportBytes + 2 + maxTableBytes,
  [answerType.place]: 4 + 1 + maxPath * hashLength,
  [answerType.refusal]: 4 + 1,
};

/** `u32 id || digests[256]`; ids count from 0, and begin again after the last. */
export function serializeAsk({ id, digests }: Ask): Bytes {
  if (digests.length !== sessionDigestsBytes)
    throw new ReporterMessageError("malformed", "ask: not eight digests");
  return new ByteWriter().u32(id).bytes(digests).finish();
}

/** The id that follows another. */
export function followingId(id: number): number {
  return (id + 1) >>> 0;
}

/** Cuts what an attester says into asks; whatever is lost, repeated or out of step shows in the ids. */
export class AskParser {
  readonly #record = new Uint8Array(askBytes);
  #filled = 0;
  #expected = 0;

  /** Takes the next bytes and returns the asks that they complete; throws `ReporterMessageError`. */
  push(bytes: Uint8Array): Ask[] {
    const asks: Ask[] = [];
    for (let rest = bytes; rest.length > 0; ) {
      const taken = rest.subarray(0, askBytes - this.#filled);
      this.#record.set(taken, this.#filled);
      this.#filled += taken.length;
      rest = rest.subarray(taken.length);
      if (this.#filled < askBytes) break;
      const reader = new ByteReader(this.#record);
      const ask = { id: reader.u32(), digests: reader.rest() };
      if (ask.id !== this.#expected) throw new ReporterMessageError("malformed", "ask: id is not the next");
      this.#expected = followingId(ask.id);
      this.#filled = 0;
      asks.push(ask);
    }
    return asks;
  }

  /** Checks that nothing was cut short; throws `ReporterMessageError`. */
  end(): void {
    if (this.#filled > 0) throw new ReporterMessageError("malformed", "ask: cut short");
  }
}

/**
 * ```
 * u8 type || u24 length || content
 * report:  u32 size || opaque report<2> || opaque certificates<2>
 * place:   u32 id || u8 count, 32 bytes each
 * refusal: u32 id || u8 word
 * ```
 */
export function serializeAnswer(answer: Answer): Bytes {
  const content = new ByteWriter();
  if (answer.kind === "report") {
    if (answer.report.length > maxReportBytes || answer.certificates.length > maxTableBytes)
      throw new ReporterMessageError("too-large", "answer: report over its limit");
    content.u32(answer.size).vector(2, answer.report).vector(2, answer.certificates);
  } else if (answer.kind === "place") {
    content
      .u32(answer.id)
      .u8(answer.path.length)
      .bytes(concatBytes(...answer.path));
  } else content.u32(answer.id).u8(refusalWords.indexOf(answer.word));
  return new ByteWriter().u8(answerType[answer.kind]).vector(3, content.finish()).finish();
}

/** Cuts what a reporter says into answers; an unknown or overlong one is refused at its head. */
export class AnswerParser {
  #rest: Bytes = new Uint8Array();

  /** Takes the next bytes and returns the answers that they complete; throws `ReporterMessageError`. */
  push(bytes: Uint8Array): Answer[] {
    const answers: Answer[] = [];
    const reader = new ByteReader(concatBytes(this.#rest, bytes));
    for (;;) {
      const { remaining } = reader;
      if (remaining < headLength) break;
      const head = reader.view(headLength);
      const length = new ByteReader(head.subarray(1)).u24();
      const max = maxLength[head[0] ?? 0];
      if (max === undefined)
        throw new ReporterMessageError("unknown-message", "answer: of no kind that there is");
      if (length > max) throw new ReporterMessageError("too-large", "answer: over its limit");
      if (reader.remaining < length) {
        this.#rest = concatBytes(head, reader.rest());
        return answers;
      }
      answers.push(parseAnswer(head[0], reader.view(length)));
    }
    this.#rest = reader.rest();
    return answers;
  }
}

function parseAnswer(type: number | undefined, content: Uint8Array): Answer {
  const reader = new ByteReader(content);
  try {
    const answer = readAnswer(type, reader);
    reader.end();
    return answer;
  } catch (cause) {
    throw new ReporterMessageError("malformed", "answer: not in its form", { cause });
  }
}

function readAnswer(type: number | undefined, reader: ByteReader): Answer {
  const first = reader.u32();
  if (type === answerType.report) {
    const report = reader.vector(2, maxReportBytes);
    return { kind: "report", size: first, report, certificates: reader.vector(2, maxTableBytes) };
  }
  if (type === answerType.place) {
    const path = Array.from({ length: reader.u8() }, () => reader.bytes(hashLength));
    return { kind: "place", id: first, path };
  }
  const word = refusalWords[reader.u8()];
  if (word === undefined) throw new ReporterMessageError("malformed", "answer: unknown word");
  return { kind: "refusal", id: first, word };
}
