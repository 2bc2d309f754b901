// Which sessions were opened through this gateway, and with which node. In memory alone, and not for long.
import type { Clock } from "@sotto/base";

const lifetimeMs = 15 * 60_000; // longer than a node keeps one
const maxSessions = 100_000; // every one of them cost a token

/** A bounded set of sessions that expire; the oldest make room. */
export class SessionTable {
  readonly #clock: Clock;
  readonly #maxSessions: number;
  /** Time of expiry by node and handle, in the order of that time. */
  readonly #sessions = new Map<string, number>();

  constructor(clock: Clock, max: number = maxSessions) {
    this.#clock = clock;
    this.#maxSessions = max;
  }

  add(node: string, handle: string): void {
    const now = this.#clock();
    for (const [key, expiresAt] of this.#sessions) {
      if (expiresAt > now && this.#sessions.size < this.#maxSessions) break;
      this.#sessions.delete(key);
    }
    const key = `${node}/${handle}`;
    this.#sessions.delete(key); // so that a handle given twice goes to the end of the order
    this.#sessions.set(key, now + lifetimeMs);
  }

  has(node: string, handle: string): boolean {
    const expiresAt = this.#sessions.get(`${node}/${handle}`);
    return expiresAt !== undefined && expiresAt > this.#clock();
  }

  get size(): number {
    return this.#sessions.size;
  }
}
