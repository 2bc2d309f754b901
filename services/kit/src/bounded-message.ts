// An incoming request whose body has a limit that holds whatever its headers say.
import { IncomingMessage } from "node:http";

/** A message class that counts its body; past `maxBytes` nothing more is taken in and `onOverflow` is called once. */
export function createBoundedMessage(maxBytes: number) {
  return class BoundedMessage extends IncomingMessage {
    onOverflow: (() => void) | undefined;
    #size = 0;

    override push(chunk: Uint8Array | null, encoding?: BufferEncoding): boolean {
      if (chunk === null) return this.#size > maxBytes ? true : super.push(null);
      const before = this.#size;
      this.#size += chunk.length;
      if (this.#size <= maxBytes) return super.push(chunk, encoding);
      // Never ended either: a body that was cut here must not pass for a whole one.
      if (before <= maxBytes) this.onOverflow?.();
      return true;
    }
  };
}
