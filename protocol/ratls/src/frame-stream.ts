// Frames over a secure channel, pulled one at a time; the first failure is what every later call gets.
import type { SecureChannel } from "./channel.ts";
import { type Frame, FrameParser, type FrameType, serializeFrame } from "./frame.ts";
import { RatlsError } from "./ratls-error.ts";

type Waiter = {
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: Error) => void;
};

const maxWaitingBytes = 256 * 1024;
const frameOverhead = 256; // what an empty frame costs in the queue, roughly

/** One reader, one writer. Nothing is expected of the peer until `expect` says so. */
export class FrameStream {
  readonly #channel: SecureChannel;
  readonly #parser = new FrameParser();
  readonly #frames: Frame[] = [];
  #waitingBytes = 0;
  #waiter: Waiter | undefined;
  readonly #writes = new Set<(error: Error) => void>();
  readonly #broken = Promise.withResolvers<never>();
  #failure: Error | undefined;
  #isSecure = false;
  #isPeersTurn = true;

  /** Listens to the channel; `onSecure` is called when its handshake is over. */
  constructor(channel: SecureChannel, onSecure: () => void) {
    this.#channel = channel;
    this.#broken.promise.catch(() => {}); // most sessions break with nobody waiting for that
    channel.handle({
      secure: () => {
        this.#isSecure = true;
        onSecure();
      },
      data: (bytes) => this.#push(bytes),
      fail: (error) => this.fail(error),
    });
  }

  /** Makes it the peer's turn to send one of these, as `FrameParser` has it. */
  expect(types: readonly FrameType[], following: readonly FrameType[] = []): void {
    this.#isPeersTurn = true;
    this.#parser.expect(types, following);
  }

  /** Lets the peer send one of these although it is this end's turn. */
  allow(types: readonly FrameType[]): void {
    this.#isPeersTurn = false;
    this.#parser.expect(types);
  }

  /** Lets the peer send a frame of one more type, while it may send any. */
  alsoExpect(type: FrameType): void {
    this.#parser.alsoExpect(type);
  }

  /** Whether it is the peer's turn, in the handshake or after it. */
  get isWaiting(): boolean {
    if (this.#failure !== undefined) return false;
    return !this.#isSecure || (this.#isPeersTurn && this.#parser.isExpecting);
  }

  /** The next frame; frames that arrived before a failure come before it. One read at a time. */
  read(): Promise<Frame> {
    return new Promise((resolve, reject) => {
      const frame = this.#frames.shift();
      if (frame !== undefined) {
        this.#waitingBytes -= frame.content.length + frameOverhead;
        if (this.#waitingBytes < maxWaitingBytes / 2 && this.#channel.isPaused()) this.#channel.resume();
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
      // A channel that is destroyed may forget its writes.
      this.#writes.add(reject);
      this.#channel.write(serializeFrame(type, content, padTo)).then(
        () => {
          this.#writes.delete(reject);
          resolve();
        },
        (error: Error) => {
          this.#writes.delete(reject);
          reject(this.#failure ?? error);
        },
      );
    });
  }

  /** Writes a frame that nobody waits for; `written` is called when it has been handed to the stream below. */
  send(type: FrameType, content: Uint8Array, written: (() => void) | undefined, padTo?: number): void {
    this.write(type, content, padTo).then(written, (error: Error) => this.fail(error));
  }

  /** Writes a last frame and closes this direction; resolves when that is done, or the peer has closed meanwhile. */
  async end(type: FrameType, content: Uint8Array, padTo = 0): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    await this.#channel.end(serializeFrame(type, content, padTo));
  }

  /** Breaks the session, unless it is broken already. */
  fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#broken.reject(error);
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(error);
    for (const reject of this.#writes) reject(error);
    this.#writes.clear();
    this.#channel.destroy();
  }

  /** What others make, unless the session breaks before. */
  whileOpen<T>(made: Promise<T>): Promise<T> {
    return Promise.race([made, this.#broken.promise]);
  }

  /** What broke the session, or undefined. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  get isOpen(): boolean {
    return this.#failure === undefined && !this.#channel.isDestroyed();
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
      if (this.#waitingBytes >= maxWaitingBytes) this.#channel.pause();
    } catch (error) {
      this.fail(error instanceof RatlsError ? error : new RatlsError("malformed", "frame: unreadable"));
    }
  }
}
