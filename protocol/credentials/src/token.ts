// Challenges, token requests and tokens of type 0x0002, blind RSA (RFC 9577 Section 2; RFC 9578 Section 6).
import { ByteReader, type Bytes, ByteWriter, decodeUtf8, encodeUtf8, sha256 } from "@sotto/base";
import { CredentialError, strictly } from "./credential-error.ts";

export const tokenType = 0x0002;
export const modulusLength = 256;
export const keyIdLength = 32;
/** type 2 + nonce 32 + challenge digest 32 + key id 32 */
export const tokenInputLength = 98;
export const tokenLength: number = tokenInputLength + modulusLength;

/**
 * ```
 * struct { uint16_t token_type; opaque issuer_name<1..2^16-1>;
 *          opaque redemption_context<0..32>; opaque origin_info<0..2^16-1>; } TokenChallenge;
 * ```
 * `redemptionContext` has 0 or 32 bytes (RFC 9577 Section 2.1).
 */
export type TokenChallenge = {
  readonly issuerName: string;
  readonly redemptionContext: Bytes;
  readonly originInfo: string;
};

export function serializeChallenge(challenge: TokenChallenge): Bytes {
  const { redemptionContext } = challenge;
  if (redemptionContext.length !== 0 && redemptionContext.length !== 32) {
    throw new CredentialError("malformed", "challenge: redemption context is not 0 or 32 bytes");
  }
  return new ByteWriter()
    .u16(tokenType)
    .vector(2, encodeUtf8(challenge.issuerName))
    .vector(1, redemptionContext)
    .vector(2, encodeUtf8(challenge.originInfo))
    .finish();
}

/** Reads a challenge; throws `CredentialError`. */
export function parseChallenge(bytes: Uint8Array): TokenChallenge {
  return strictly("challenge", () => {
    const reader = new ByteReader(bytes);
    requireType(reader.u16());
    const issuerName = decodeUtf8(reader.vector(2, 1024));
    const redemptionContext = reader.vector(1, 32);
    const originInfo = decodeUtf8(reader.vector(2, 4096));
    reader.end();
    if (issuerName === "" || (redemptionContext.length !== 0 && redemptionContext.length !== 32)) {
      throw new CredentialError("malformed", "challenge: member out of range");
    }
    return { issuerName, redemptionContext, originInfo };
  });
}

export function challengeDigest(challenge: TokenChallenge): Bytes {
  return sha256(serializeChallenge(challenge));
}

/** `struct { uint16_t token_type; uint8_t truncated_token_key_id; uint8_t blinded_msg[Nk]; } TokenRequest;` */
export type TokenRequest = { readonly truncatedKeyId: number; readonly blinded: Bytes };

export function serializeTokenRequest(request: TokenRequest): Bytes {
  return new ByteWriter().u16(tokenType).u8(request.truncatedKeyId).bytes(request.blinded).finish();
}

/** Reads a token request; throws `CredentialError` (RFC 9578 Section 6.1). */
export function parseTokenRequest(bytes: Uint8Array): TokenRequest {
  return strictly("token request", () => {
    const reader = new ByteReader(bytes);
    requireType(reader.u16());
    const truncatedKeyId = reader.u8();
    const blinded = reader.bytes(modulusLength);
    reader.end();
    return { truncatedKeyId, blinded };
  });
}

/**
 * ```
 * struct { uint16_t token_type; uint8_t nonce[32]; uint8_t challenge_digest[32]; uint8_t token_key_id[32];
 *          uint8_t authenticator[Nk]; } Token;
 * ```
 * (RFC 9577 Section 2.2)
 */
export type Token = {
  readonly nonce: Bytes;
  readonly challengeDigest: Bytes;
  readonly keyId: Bytes;
  readonly authenticator: Bytes;
};

/** What the authenticator signs: the token without it. */
export function tokenInput(token: Omit<Token, "authenticator">): Bytes {
  return new ByteWriter()
    .u16(tokenType)
    .bytes(token.nonce)
    .bytes(token.challengeDigest)
    .bytes(token.keyId)
    .finish();
}

export function serializeToken(token: Token): Bytes {
  return new ByteWriter().bytes(tokenInput(token)).bytes(token.authenticator).finish();
}

/** Reads a token of 354 bytes, unverified; throws `CredentialError`. */
export function parseToken(bytes: Uint8Array): Token {
  return strictly("token", () => {
    const reader = new ByteReader(bytes);
    requireType(reader.u16());
    const nonce = reader.bytes(32);
    const digest = reader.bytes(32);
    const keyId = reader.bytes(keyIdLength);
    const authenticator = reader.bytes(modulusLength);
    reader.end();
    return { nonce, challengeDigest: digest, keyId, authenticator };
  });
}

function requireType(type: number): void {
  if (type !== tokenType) throw new CredentialError("unsupported", "token type is not 0x0002");
}
