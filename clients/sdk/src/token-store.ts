// Where unspent tokens rest between fetching and use.

/** One unspent token: the bytes of RFC 9577 Section 2.2 and the key it belongs to. */
export type StoredToken = { readonly token: Uint8Array<ArrayBuffer>; readonly keyId: string };

/**
 * A store must hand out each token at most once, under any concurrency and after any crash: `take`
 * removes before it returns, and a token that might have been seen by anyone is never put back.
 */
export interface TokenStore {
  put(tokens: readonly StoredToken[]): Promise<void>;
  /** A token of one of these keys, or undefined when none is left; tokens of other keys are dropped. */
  take(keyIds: ReadonlySet<string>): Promise<StoredToken | undefined>;
  count(): Promise<number>;
}

/** Tokens in memory, gone with the process. */
export class MemoryTokenStore implements TokenStore {
  #tokens: StoredToken[] = [];

  async put(tokens: readonly StoredToken[]): Promise<void> {
    this.#tokens.push(...tokens);
  }

  async take(keyIds: ReadonlySet<string>): Promise<StoredToken | undefined> {
    this.#tokens = this.#tokens.filter(({ keyId }) => keyIds.has(keyId));
    return this.#tokens.shift();
  }

  async count(): Promise<number> {
    return this.#tokens.length;
  }
}
