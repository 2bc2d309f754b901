// Server-sent events, as far as streamed answers use them: the data of each event.
import { ChatError } from "./chat-request.ts";

const maxEventLength = 1024 * 1024;

/** Takes bytes however they are cut and gives the data of each whole event. */
export class SseParser {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  #buffer = "";
  #data: string[] = [];

  /** Data of the events that the bytes complete; throws `ChatError`. */
  push(bytes: Uint8Array): string[] {
    try {
      this.#buffer += this.#decoder.decode(bytes, { stream: true });
    } catch (cause) {
      throw new ChatError("malformed", "event stream: not utf-8", { cause });
    }
    const events: string[] = [];
    for (let end = this.#buffer.indexOf("\n"); end >= 0; end = this.#buffer.indexOf("\n")) {
      const line = this.#buffer.slice(0, end).replace(/\r$/, "");
      this.#buffer = this.#buffer.slice(end + 1);
      if (line === "") {
        if (this.#data.length > 0) events.push(this.#data.join("\n"));
        this.#data = [];
      } else if (line.startsWith("data:")) this.#data.push(line.slice(line.startsWith("data: ") ? 6 : 5));
    }
    if (this.#buffer.length > maxEventLength)
      throw new ChatError("too-large", "event stream: event over its limit");
    return events;
  }
}
