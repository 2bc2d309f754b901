// The PrivateToken authentication scheme in HTTP headers (RFC 9577 Sections 2.1 and 2.2).
import { type Bytes, decodeBase64Url, encodeBase64Url } from "@sotto/base";
import { CredentialError, strictly } from "./credential-error.ts";
import { serializeToken, type Token } from "./token.ts";

const maxHeaderLength = 8 * 1024;
const parameter = /^([a-z-]+)=(?:"([A-Za-z0-9_-]*={0,2})"|([A-Za-z0-9_-]+={0,2}))$/;

/** `PrivateToken token="..."` */
export function serializeAuthorization(token: Token): string {
  return `PrivateToken token="${padded(serializeToken(token))}"`;
}

/** The token in an Authorization header, as bytes; throws `CredentialError`. */
export function parseAuthorization(header: string): Bytes {
  const parameters = parseParameters(header);
  const token = parameters.get("token");
  if (token === undefined) throw new CredentialError("malformed", "authorization: no token");
  return token;
}

/** A challenge with the issuer's key, for a WWW-Authenticate header. */
export type AuthenticateChallenge = { readonly challenge: Bytes; readonly tokenKey: Bytes };

/** `PrivateToken challenge="...", token-key="..."` */
export function serializeWwwAuthenticate({ challenge, tokenKey }: AuthenticateChallenge): string {
  return `PrivateToken challenge="${padded(challenge)}", token-key="${padded(tokenKey)}"`;
}

/** The challenge of a WWW-Authenticate header that holds one; throws `CredentialError`. */
export function parseWwwAuthenticate(header: string): AuthenticateChallenge {
  const parameters = parseParameters(header);
  const challenge = parameters.get("challenge");
  const tokenKey = parameters.get("token-key");
  if (challenge === undefined || tokenKey === undefined) {
    throw new CredentialError("malformed", "challenge header: member missing");
  }
  return { challenge, tokenKey };
}

function parseParameters(header: string): Map<string, Bytes> {
  const match = /^PrivateToken +(.+)$/i.exec(header);
  if (match === null || header.length > maxHeaderLength) {
    throw new CredentialError("malformed", "authentication header: not of this scheme");
  }
  const parameters = new Map<string, Bytes>();
  for (const piece of (match[1] ?? "").split(/ *, */)) {
    const [, name = "", quoted, plain] = parameter.exec(piece.trim()) ?? [];
    if (name === "" || parameters.has(name)) {
      throw new CredentialError("malformed", "authentication header: parameter not in its form");
    }
    // Both with and without padding are met; the bytes behind them are the same.
    const text = (quoted ?? plain ?? "").replace(/=+$/, "");
    parameters.set(
      name,
      strictly("authentication header", () => decodeBase64Url(text)),
    );
  }
  return parameters;
}

function padded(bytes: Bytes): string {
  const text = encodeBase64Url(bytes);
  return text.padEnd(Math.ceil(text.length / 4) * 4, "=");
}
