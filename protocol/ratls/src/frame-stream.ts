// Frames over a TLS socket, pulled one at a time; the first failure is what every later call gets.
import type { TLSSocket } from "node:tls";
import { type Frame, FrameParser, type FrameType, serializeFrame } from "./frame.ts";
import { RatlsError } from "./ratls-error.ts";

type Waiter = {
  readonly resolve: (frame: Frame | undefined) => void;
  readonly reject: (error: Error) => void;
};

const maxWaiting = 64;

/** One reader, one writer; `read` gives undefined when the peer closed between two frames. */
export class FrameStream {
  readonly #socket: TLSSocket;
  readonly #parser = new FrameParser();
  readonly #frames: Frame[] = [];
  #waiter: Waiter | undefined;
  #failure: Error | undefined;
  #ended = false;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => this.#push(bytes));
    socket.on("end", () => this.#end());
    socket.on("close", () => this.#end());
    socket.on("error", (cause) => this.fail(new RatlsError("truncated", "session broke off", { cause })));
  }

  read(): Promise<Frame | undefined> {
    return new Promise((resolve, reject) => {
      const frame = this.#frames.shift();
      if (frame !== undefined) {
        if (this.#frames.length < maxWaiting / 2 && this.#socket.isPaused()) this.#socket.resume();
        resolve(frame);
      } else if (this.#failure !== undefined) reject(this.#failure);
      else if (this.#ended) resolve(undefined);
      else this.#waiter = { resolve, reject };
    });
  }

  /** Resolves when the frame has been handed to the stream below. */
  write(type: FrameType, content: Uint8Array, padTo = 0): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) reject(this.#failure);
      else {
        this.#socket.write(serializeFrame(type, content, padTo), (error) => {
          if (error)
            reject(this.#failure ?? new RatlsError("truncated", "session broke off", { cause: error }));
          else resolve();
        });
      }
    });
  }

  fail(error: Error): void {
    if (this.#failure !== undefined || this.#ended) return;
    this.#failure = error;
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(error);
    this.#socket.destroy();
  }

  get isOpen(): boolean {
    return this.#failure === undefined && !this.#ended && !this.#socket.destroyed;
  }

  #push(bytes: Uint8Array): void {
    try {
      for (const frame of this.#parser.push(bytes)) {
        const waiter = this.#waiter;
        this.#waiter = undefined;
        if (waiter !== undefined) waiter.resolve(frame);
        else this.#frames.push(frame);
      }
      if (this.#frames.length >= maxWaiting) this.#socket.pause();
    } catch (error) {
      this.fail(error instanceof Error ? error : new RatlsError("malformed", "frame: unreadable"));
    }
  }

  #end(): void {
    if (this.#ended || this.#failure !== undefined) return;
    if (this.#parser.isInside) {
      this.fail(new RatlsError("truncated", "session ends inside a frame"));
      return;
    }
    this.#ended = true;
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.resolve(undefined);
  }
}
