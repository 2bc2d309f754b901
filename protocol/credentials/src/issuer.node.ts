// The issuer's side: RSA on node:crypto, which blinds its private operations (RFC 9474 Section 4.3).
import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
} from "node:crypto";
import { type Bytes, copyBytes, decodeBase64Url, equalBytes, sha256 } from "@sotto/base";
import { CredentialError } from "./credential-error.ts";
import { serializeIssuerSpki } from "./issuer-key.ts";
import { modulusLength, parseTokenRequest } from "./token.ts";

/** A key pair as a file may hold it. */
export type IssuerKeyPair = { readonly privateKeyPem: string; readonly spki: Bytes };

/** A private key ready for use. */
export type IssuerPrivateKey = {
  readonly keyId: Bytes;
  readonly spki: Bytes;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
};

/** Makes an RSA-2048 key pair. */
export function generateIssuerKey(): IssuerKeyPair {
  const { privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 8 * modulusLength,
    publicExponent: 65537,
  });
  const privateKeyPem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return { privateKeyPem, spki: createIssuerKey(privateKeyPem).spki };
}

/** Loads a private key; throws `CredentialError` for anything but RSA-2048 with exponent 65537. */
export function createIssuerKey(privateKeyPem: string): IssuerPrivateKey {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(privateKeyPem);
  } catch (cause) {
    throw new CredentialError("malformed", "issuer key: unreadable", { cause });
  }
  const publicKey = createPublicKey(privateKey);
  const { n, e } = publicKey.export({ format: "jwk" });
  if (privateKey.asymmetricKeyType !== "rsa" || n === undefined || e !== "AQAB") {
    throw new CredentialError("unsupported", "issuer key: not rsa with exponent 65537");
  }
  const spki = serializeIssuerSpki(decodeBase64Url(n));
  return { keyId: sha256(spki), spki, privateKey, publicKey };
}

/**
 * Signs one serialized `TokenRequest`: 256 bytes. Throws `CredentialError`: `malformed`, `unknown-key`, `issuer-fault`.
 */
export function issue(key: IssuerPrivateKey, request: Bytes): Bytes {
  const { truncatedKeyId, blinded } = parseTokenRequest(request);
  if (truncatedKeyId !== key.keyId.at(-1))
    throw new CredentialError("unknown-key", "token request is for another key");
  return blindSign(key, blinded);
}

/** BlindSign with the check that a fault in the private operation leaks nothing (RFC 9474 Section 4.3). */
export function blindSign(key: IssuerPrivateKey, blinded: Bytes): Bytes {
  const padding = constants.RSA_NO_PADDING;
  let signature: Bytes;
  try {
    signature = copyBytes(privateDecrypt({ key: key.privateKey, padding }, blinded));
  } catch (cause) {
    throw new CredentialError("malformed", "token request: message is out of range", { cause });
  }
  if (!equalBytes(publicEncrypt({ key: key.publicKey, padding }, signature), blinded)) {
    throw new CredentialError("issuer-fault", "private operation gave a wrong result");
  }
  return signature;
}
