// Decides whether a token opens a session: known key, valid now, our challenge, signed, not yet spent. In this order,
// so that only tokens that an issuer made take room in the store.
import { type Clock, encodeHex } from "@sotto/base";
import {
  CredentialError,
  challengeDigest,
  type IssuerPublicKey,
  parseAuthorization,
  parseToken,
  verifyToken,
} from "@sotto/credentials";
import type { SpentTokenStore } from "./spent-token-store.ts";

/** Times in Unix seconds. */
export type HonouredKey = {
  readonly key: IssuerPublicKey;
  readonly notBefore: number;
  readonly notAfter: number;
};

export type RedeemerDependencies = {
  readonly issuerName: string;
  readonly originInfo: string;
  readonly keys: readonly HonouredKey[];
  readonly store: SpentTokenStore;
  readonly clock: Clock;
};

export type Redemption = "redeemed" | "no-token" | "token-refused" | "token-spent" | "store-failed";

/** Wires the redeemer of an Authorization header. */
export function createRedeemer(
  dependencies: RedeemerDependencies,
): (header: string | undefined) => Promise<Redemption> {
  const { issuerName, originInfo } = dependencies;
  const expected = challengeDigest({ issuerName, redemptionContext: new Uint8Array(), originInfo });
  const keys = new Map(dependencies.keys.map((honoured) => [encodeHex(honoured.key.keyId), honoured]));
  return async (header) => {
    if (header === undefined) return "no-token";
    try {
      const token = parseToken(parseAuthorization(header));
      const honoured = keys.get(encodeHex(token.keyId));
      const now = dependencies.clock() / 1000;
      if (honoured === undefined || now < honoured.notBefore || now >= honoured.notAfter)
        return "token-refused";
      await verifyToken(token, honoured.key, expected);
      return (await dependencies.store.spend(token.keyId, token.nonce)) ? "redeemed" : "token-spent";
    } catch (error) {
      return error instanceof CredentialError ? "token-refused" : "store-failed";
    }
  };
}
