// Frames over a TLS socket, pulled one at a time; the first failure is what every later call gets.
import type { TLSSocket } from "node:tls";
import { type Frame, FrameParser, type FrameType, serializeFrame } from "./frame.ts";
import { RatlsError } from "./ratls-error.ts";
import { handshakeError, recordError } from "./tls-failure.ts";

type Waiter = {
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: Error) => void;
};

const maxWaitingBytes = 256 * 1024;
const frameOverhead = 256; // what an empty frame costs in the queue, roughly

/** One reader, one writer. Nothing is expected of the peer until `expect` says so. */
export class FrameStream {
  readonly #socket: TLSSocket;
  readonly #parser = new FrameParser();
  readonly #frames: Frame[] = [];
  #waitingBytes = 0;
  #waiter: Waiter | undefined;
  readonly #writes = new Set<(error: Error) => void>();
  #failure: Error | undefined;
  #isSecure = false;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    // Before any other listener, so that what those find wrong is no longer the handshake's failure.
    socket.once("secure", () => {
      this.#isSecure = true;
    });
    socket.on("data", (bytes: Buffer) => this.#push(bytes));
    socket.on("end", () => this.#break());
    socket.on("close", () => this.#break());
    socket.on("error", (cause) => this.#break(cause));
  }

  /** Lets the peer send one frame of these types, or `response` frames up to one of another type. */
  expect(...types: readonly FrameType[]): void {
    this.#parser.expect(types);
  }

  /** Whether it is the peer's turn, in the handshake or after it. */
  get isWaiting(): boolean {
    return this.#failure === undefined && (!this.#isSecure || this.#parser.isExpecting);
  }

  /** The next frame; frames that arrived before a failure come before it. One read at a time. */
  read(): Promise<Frame> {
    return new Promise((resolve, reject) => {
      const frame = this.#frames.shift();
      if (frame !== undefined) {
        this.#waitingBytes -= frame.content.length + frameOverhead;
        if (this.#waitingBytes < maxWaitingBytes / 2 && this.#socket.isPaused()) this.#socket.resume();
        resolve(frame);
      } else if (this.#failure !== undefined) reject(this.#failure);
      else this.#waiter = { resolve, reject };
    });
  }

  /** Resolves when the frame has been handed to the stream below. */
  write(type: FrameType, content: Uint8Array, padTo = 0): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      // A socket that is destroyed may forget its callbacks.
      this.#writes.add(reject);
      this.#socket.write(serializeFrame(type, content, padTo), (error) => {
        this.#writes.delete(reject);
        if (error) reject(this.#failure ?? recordError(error));
        else resolve();
      });
    });
  }

  /** Writes a last frame and closes this direction; resolves when that is done, or the peer has closed meanwhile. */
  end(type: FrameType, content: Uint8Array, padTo = 0): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      this.#socket.once("close", resolve);
      this.#socket.end(serializeFrame(type, content, padTo), () => resolve());
    });
  }

  /** Breaks the session, unless it is broken already. */
  fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(error);
    for (const reject of this.#writes) reject(error);
    this.#writes.clear();
    this.#socket.destroy();
  }

  /** What broke the session, or undefined. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  get isOpen(): boolean {
    return this.#failure === undefined && !this.#socket.destroyed;
  }

  #push(bytes: Uint8Array): void {
    if (this.#failure !== undefined) return;
    try {
      for (const frame of this.#parser.push(bytes)) {
        const waiter = this.#waiter;
        this.#waiter = undefined;
        if (waiter !== undefined) waiter.resolve(frame);
        else {
          this.#frames.push(frame);
          this.#waitingBytes += frame.content.length + frameOverhead;
        }
      }
      if (this.#waitingBytes >= maxWaitingBytes) this.#socket.pause();
    } catch (error) {
      this.fail(error instanceof RatlsError ? error : new RatlsError("malformed", "frame: unreadable"));
    }
  }

  #break(cause?: Error): void {
    if (this.#failure !== undefined) return;
    this.fail(this.#isSecure ? recordError(cause) : handshakeError(cause));
  }
}
