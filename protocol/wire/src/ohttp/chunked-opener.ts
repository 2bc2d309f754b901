// Opening of chunked messages as they come, the same for both roles
// (draft-ietf-ohai-chunked-ohttp-08 Section 6).
import { type Bytes, concatBytes } from "@sotto/base";
import { WireError } from "../wire-error.ts";
import { ChunkFraming } from "./chunk-framing.ts";
import { emptyAad, finalAad } from "./labels.ts";

/** Opens the chunks of one message in order; throws `WireError` with `decryption-failed`. */
export type OpenChunk = (ciphertext: Bytes, aad: Bytes) => Bytes | Promise<Bytes>;

/** What comes before the first chunk: how long it is, once that can be told, and what it leads to. */
export type MessageHead = {
  readonly length: (received: Bytes) => number | undefined;
  readonly begin: (head: Bytes) => OpenChunk | Promise<OpenChunk>;
};

/** Opens one chunked message; calls are worked off in their order, and a failure is final. */
export class ChunkedOpener {
  readonly #head: MessageHead;
  readonly #framing = new ChunkFraming();
  #received: Bytes = new Uint8Array();
  #open: OpenChunk | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #over = false;

  constructor(head: MessageHead) {
    this.#head = head;
  }

  /** Takes the next bytes and returns the chunks that they complete, in order; throws `WireError`. */
  push(bytes: Bytes): Promise<Bytes[]> {
    return this.#inTurn(async () => {
      const rest = this.#open === undefined ? await this.#begin(bytes) : bytes;
      const opened: Bytes[] = [];
      if (this.#open === undefined) return opened;
      for (const ciphertext of this.#framing.push(rest)) opened.push(await this.#open(ciphertext, emptyAad));
      return opened;
    });
  }

  /** The input is over: the content of the final chunk; throws `truncated` when there was none. */
  finish(): Promise<Bytes> {
    return this.#inTurn(async () => {
      if (this.#open === undefined) throw new WireError("truncated", "message ends early");
      const content = await this.#open(this.#framing.finish(), finalAad);
      this.#over = true;
      return content;
    });
  }

  /** Collects the head; returns what follows it. */
  async #begin(bytes: Bytes): Promise<Bytes> {
    this.#received = concatBytes(this.#received, bytes);
    const length = this.#head.length(this.#received);
    if (length === undefined || this.#received.length < length) return new Uint8Array();
    const received = this.#received;
    this.#received = new Uint8Array();
    this.#open = await this.#head.begin(received.slice(0, length));
    return received.subarray(length);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(() => {
      if (this.#over) throw new WireError("out-of-order", "message is over");
      return work();
    });
    this.#tail = result.catch(() => {
      this.#over = true;
    });
    return result;
  }
}
