// Server-sent events, as far as streamed answers use them: the data of each event.
import { ChatError } from "./chat-request.ts";

const maxEventLength = 1024 * 1024; // UTF-16 units of one event, with the line that is being read

/** Takes bytes however they are cut and gives the data of each whole event. */
export class SseParser {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  #line: string[] = [];
  #lineEndsInCr = false;
  #data: string[] = [];
  #length = 0;

  /** Data of the events that the bytes complete, in order; throws `ChatError`. */
  push(bytes: Uint8Array): string[] {
    let decoded: string;
    try {
      decoded = this.#decoder.decode(bytes, { stream: true });
    } catch (cause) {
      throw new ChatError("malformed", "event stream: not utf-8", { cause });
    }
    if (decoded === "") return [];
    // A line end may be cut in two.
    const text = this.#lineEndsInCr && decoded.startsWith("\n") ? decoded.slice(1) : decoded;
    this.#lineEndsInCr = decoded.endsWith("\r");
    const [first = "", ...more] = text.split(/\r\n|\r|\n/);
    const events: string[] = [];
    this.#append(first);
    for (const start of more) {
      this.#endLine(events);
      this.#append(start);
    }
    return events;
  }

  #append(text: string): void {
    if (text === "") return;
    this.#length += text.length;
    if (this.#length > maxEventLength) throw new ChatError("too-large", "event stream: event over its limit");
    this.#line.push(text);
  }

  #endLine(events: string[]): void {
    const line = this.#line.join("");
    this.#line = [];
    if (line === "") {
      if (this.#data.length > 0) events.push(this.#data.join("\n"));
      this.#data = [];
      this.#length = 0;
    } else if (line.startsWith("data:")) this.#data.push(line.slice(line.startsWith("data: ") ? 6 : 5));
    else this.#length -= line.length; // comments and other fields are not kept
  }
}
