// Responses that are written and read as they come (RFC 9292 Section 3.2).
import { ByteReader, type Bytes, ByteWriter, concatBytes, EncodingError, isAllZero } from "@sotto/base";
import { WireError } from "../wire-error.ts";
import { readIndeterminateSection, readKnownSection, serializeFieldLines } from "./field-section.ts";
import { defaultStreamLimits, framing, type HeaderList, type MessageLimits } from "./message.ts";
import { checkFinal } from "./response.ts";

/** Writes one indeterminate-length response in pieces: head, content any number of times, end. */
export class ResponseSerializer {
  #state: "head" | "content" | "done" = "head";

  /** Framing indicator, status and header section. */
  head(status: number, headers: HeaderList): Bytes {
    this.#advance("head", "content");
    return new ByteWriter()
      .varint(framing.indeterminateResponse)
      .varint(checkFinal(status))
      .bytes(serializeFieldLines(headers))
      .varint(0)
      .finish();
  }

  /** One chunk of content. */
  content(chunk: Uint8Array): Bytes {
    this.#advance("content", "content");
    // An empty chunk would read as the end of the content.
    return chunk.length === 0
      ? new Uint8Array()
      : new ByteWriter().varint(chunk.length).bytes(chunk).finish();
  }

  /** The end of the content, and the trailer section. */
  end(trailers: HeaderList = []): Bytes {
    this.#advance("content", "done");
    return new ByteWriter().varint(0).bytes(serializeFieldLines(trailers)).varint(0).finish();
  }

  #advance(from: "head" | "content", to: "content" | "done"): void {
    if (this.#state !== from) throw new WireError("out-of-order", "bhttp: piece written out of order");
    this.#state = to;
  }
}

/** What a streamed response consists of, in this order. */
export type ResponseEvent =
  | { readonly type: "informational"; readonly status: number; readonly headers: HeaderList }
  | { readonly type: "head"; readonly status: number; readonly headers: HeaderList }
  | { readonly type: "content"; readonly bytes: Bytes }
  | { readonly type: "end"; readonly trailers: HeaderList };

type Step = "framing" | "status" | "length" | "content" | "trailers" | "padding";

/** Reads one response of either form, however it is cut; throws `WireError`, after which nothing more is read. */
export class ResponseParser {
  readonly #limits: MessageLimits;
  #buffer: Bytes = new Uint8Array();
  #step: Step = "framing";
  #known = false;
  #left = 0;
  #size = 0;
  #informational = 0;
  #over = false;

  constructor(limits: MessageLimits = defaultStreamLimits) {
    this.#limits = limits;
  }

  /** Takes the next bytes and returns what they complete. */
  push(bytes: Bytes): ResponseEvent[] {
    this.#buffer = this.#buffer.length === 0 ? bytes : concatBytes(this.#buffer, bytes);
    return this.#parse(false);
  }

  /** The input is over: returns what is left, throws `truncated` when the message is not complete. */
  finish(): ResponseEvent[] {
    return this.#parse(true);
  }

  #parse(final: boolean): ResponseEvent[] {
    if (this.#over) throw new WireError("out-of-order", "bhttp: response is over");
    this.#over = true;
    const events = this.#readAll(final);
    // Only an input that may go on, and went well so far, leaves the parser open.
    this.#over = final;
    return events;
  }

  #readAll(final: boolean): ResponseEvent[] {
    const events: ResponseEvent[] = [];
    let offset = 0;
    while (final || offset < this.#buffer.length) {
      // Each step reads all it needs or nothing; what it lacks may come with the next bytes.
      const reader = new ByteReader(this.#buffer.subarray(offset));
      const before = this.#step;
      try {
        const event = this.#read(reader, final);
        if (event !== undefined) events.push(event);
      } catch (cause) {
        if (!(cause instanceof EncodingError)) throw cause;
        this.#step = before;
        if (cause.code !== "truncated")
          throw new WireError("malformed", `bhttp: ${cause.message}`, { cause });
        if (final) throw new WireError("truncated", "bhttp: response ends early", { cause });
        if (this.#buffer.length - offset > this.#limits.maxSectionBytes + 64) {
          throw new WireError("too-large", "bhttp: field section over its limit");
        }
        break;
      }
      offset += reader.offset;
      if (reader.offset === 0 && this.#step === before) break;
    }
    this.#buffer = this.#buffer.slice(offset);
    return events;
  }

  #read(reader: ByteReader, final: boolean): ResponseEvent | undefined {
    switch (this.#step) {
      case "framing": {
        const kind = reader.varint();
        if (kind !== framing.knownResponse && kind !== framing.indeterminateResponse) {
          throw new WireError("malformed", "bhttp: not a response");
        }
        this.#known = kind === framing.knownResponse;
        this.#step = "status";
        return undefined;
      }
      case "status": {
        const status = reader.varint();
        const headers = this.#section(reader, final);
        if (status >= 100 && status < 200) {
          this.#informational += 1;
          if (this.#informational > this.#limits.maxInformational) {
            throw new WireError("too-large", "bhttp: too many informational responses");
          }
          return { type: "informational", status, headers };
        }
        this.#step = "length";
        return { type: "head", status: checkFinal(status), headers };
      }
      case "length": {
        if (final && reader.remaining === 0) {
          // Content and trailers that are empty may be left out, but not cut off after a chunk.
          if (this.#size > 0) throw new EncodingError("truncated", "content ends early");
          this.#step = "padding";
          return { type: "end", trailers: [] };
        }
        const length = reader.varint();
        this.#size += length;
        if (this.#size > this.#limits.maxContentBytes) {
          throw new WireError("too-large", "bhttp: content over its limit");
        }
        this.#left = length;
        this.#step = length > 0 ? "content" : "trailers";
        return undefined;
      }
      case "content": {
        if (reader.remaining === 0) {
          if (final) throw new EncodingError("truncated", "content ends early");
          return undefined;
        }
        const bytes = reader.bytes(Math.min(this.#left, reader.remaining));
        this.#left -= bytes.length;
        if (this.#left === 0) this.#step = this.#known ? "trailers" : "length";
        return { type: "content", bytes };
      }
      case "trailers": {
        const trailers = this.#section(reader, final);
        this.#step = "padding";
        return { type: "end", trailers };
      }
      case "padding": {
        if (!isAllZero(reader.rest())) throw new WireError("trailing-bytes", "bhttp: padding is not zero");
        return undefined;
      }
    }
  }

  #section(reader: ByteReader, final: boolean): HeaderList {
    // A section may be missing at the end of the message only, which is not known before `finish`.
    if (reader.remaining === 0 && !final) throw new EncodingError("truncated", "field section not here yet");
    return this.#known
      ? readKnownSection(reader, this.#limits)
      : readIndeterminateSection(reader, this.#limits);
  }
}
