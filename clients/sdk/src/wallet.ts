// One-time tokens: fetched blind and in batches from the issuer, spent one a session.
import { ByteReader, ByteWriter, CodedError, encodeHex, type Random } from "@sotto/base";
import { blind, type IssuerPublicKey, serializeToken, type TokenChallenge } from "@sotto/credentials";
import { readAnswer } from "./answer.ts";
import { requestDefaults } from "./request-defaults.ts";
import { SottoError } from "./sotto-error.ts";
import type { StoredToken, TokenStore } from "./token-store.ts";

/** The origin that every token is bound to (RFC 9577 Section 2.1). */
export const tokenOrigin = "gateway.sotto.invalid";

export type WalletOptions = {
  readonly issuerUrl: string;
  readonly account: { readonly secret: string };
  readonly store: TokenStore;
  readonly random: Random;
  readonly fetch: typeof fetch;
  /** How long the issuer may take for a batch. */
  readonly timeoutMs: number;
  readonly batchSize?: number;
};

const maxAnswerBytes = 64 * 1024;
const maxBatches = 16; // for one that always finds the store empty again

type Issuer = { readonly issuerName: string; readonly issuerKeys: readonly IssuerPublicKey[] };

/** Holds tokens; fetching is a step of its own, so that using one says nothing about when it was made. */
export class Wallet {
  readonly #options: WalletOptions;
  #fetching: Promise<void> | undefined;

  constructor(options: WalletOptions) {
    this.#options = options;
  }

  /** How many tokens are left. */
  remaining(): Promise<number> {
    return this.#options.store.count();
  }

  /** Fetches one batch; concurrent callers share it. Throws `SottoError`. */
  refill(issuer: Issuer): Promise<void> {
    this.#fetching ??= this.#fetchBatch(issuer).finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  /**
   * Takes one token out for good. With an empty store it fetches a batch first, which ties the fetch to
   * the use in time; callers avoid that by calling `refill` ahead.
   */
  async take(issuer: Issuer): Promise<StoredToken> {
    const keyIds = new Set(issuer.issuerKeys.map((key) => encodeHex(key.keyId)));
    for (let attempt = 0; attempt < maxBatches; attempt += 1) {
      const stored = await this.#options.store.take(keyIds);
      if (stored !== undefined) return stored;
      // More may ask at once than one batch has tokens for.
      await this.refill(issuer);
    }
    throw new SottoError("no-tokens", "wallet: no tokens left");
  }

  async #fetchBatch(issuer: Issuer): Promise<void> {
    const [key] = issuer.issuerKeys;
    if (key === undefined) throw new SottoError("directory-refused", "wallet: no issuer key");
    const challenge: TokenChallenge = {
      issuerName: issuer.issuerName,
      redemptionContext: new Uint8Array(),
      originInfo: tokenOrigin,
    };
    const count = this.#options.batchSize ?? 16;
    const blinded = Array.from({ length: count }, () => blind(challenge, key, this.#options.random));
    const body = new ByteWriter().u16(count);
    for (const { request } of blinded) body.vector(2, request);
    const answer = await this.#post(body.finish());
    try {
      const reader = new ByteReader(answer);
      if (reader.u16() !== count)
        throw new SottoError("protocol-violation", "issuer: other number of tokens");
      const tokens: StoredToken[] = [];
      for (const { finalize } of blinded) {
        const token = await finalize(reader.vector(2, 1024));
        tokens.push({ token: serializeToken(token), keyId: encodeHex(key.keyId) });
      }
      reader.end();
      await this.#options.store.put(tokens);
    } catch (cause) {
      if (cause instanceof SottoError || !(cause instanceof CodedError)) throw cause;
      throw new SottoError("protocol-violation", `issuer: ${cause.message}`, { cause });
    }
  }

  async #post(body: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    let response: Response;
    try {
      response = await this.#options.fetch(new URL("tokens", this.#options.issuerUrl), {
        ...requestDefaults,
        signal: AbortSignal.timeout(this.#options.timeoutMs),
        method: "POST",
        headers: {
          "content-type": "application/private-token-request-batch",
          authorization: `Bearer ${this.#options.account.secret}`,
        },
        body,
      });
    } catch (cause) {
      throw new SottoError("issuer-unreachable", "issuer cannot be reached", { cause });
    }
    if (response.status === 401) throw new SottoError("account-refused", "issuer does not know this account");
    if (response.status === 429)
      throw new SottoError("no-tokens", "today's quota of this account is used up");
    if (!response.ok) throw new SottoError("issuer-unreachable", "issuer did not answer as it should");
    const answer = await readAnswer(response, maxAnswerBytes);
    if (answer === undefined) throw new SottoError("protocol-violation", "issuer: answer is too large");
    return answer;
  }
}
