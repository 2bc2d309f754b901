// Keys of signed notes: verifier keys as text, signers with their secrets (C2SP signed-note).
// Types 0x01 (Ed25519) and 0x04 (timestamped cosignature); others are left to later.
import {
  type Bytes,
  concatBytes,
  decodeBase64,
  encodeBase64,
  encodeHex,
  encodeUtf8,
  sha256,
} from "@sotto/base";
import { isStrictPoint } from "./ed25519-point.ts";
import { LogError, strictly } from "./log-error.ts";

export const noteKeyType = { ed25519: 0x01, cosignature: 0x04 } as const;
export type NoteKeyType = (typeof noteKeyType)[keyof typeof noteKeyType];

/** A public key: `name+hex(key id)+base64(type || key)` as text. */
export type Verifier = {
  readonly name: string;
  readonly type: NoteKeyType;
  readonly id: number;
  readonly publicKey: Bytes;
};

/** A key pair; `secret` is the 32 byte seed of Ed25519. */
export type Signer = Verifier & { readonly secret: Bytes };

const namePattern = /^[^\p{White_Space}+]{1,255}$/u;

/** Tells whether a key may have this name: no white space of any script, no plus sign (C2SP signed-note). */
export function isKeyName(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  return namePattern.test(name) && !/[\u0000-\u001f]/.test(name) && name.isWellFormed();
}

/** Key id: the first four bytes of `SHA-256(name || 0x0A || type || key)`, big-endian. */
export function keyId(name: string, type: NoteKeyType, publicKey: Uint8Array): number {
  const digest = sha256(encodeUtf8(name), new Uint8Array([0x0a, type]), publicKey);
  return new DataView(digest.buffer).getUint32(0);
}

export function serializeVerifier(verifier: Verifier): string {
  const id = verifier.id.toString(16).padStart(8, "0");
  return `${verifier.name}+${id}+${encodeBase64(concatBytes(new Uint8Array([verifier.type]), verifier.publicKey))}`;
}

/** Reads a verifier key; throws `LogError`. */
export function parseVerifier(text: string): Verifier {
  return strictly("verifier key", () => {
    const match = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text);
    const [, name = "", id = "", encoded = ""] = match ?? [];
    if (match === null || !isKeyName(name)) throw new LogError("malformed", "verifier key: not in its form");
    const key = decodeBase64(encoded);
    const type = key[0];
    if (key.length !== 33 || (type !== noteKeyType.ed25519 && type !== noteKeyType.cosignature)) {
      throw new LogError("malformed", "verifier key: unknown type or length");
    }
    const publicKey = key.slice(1);
    if (keyId(name, type, publicKey) !== Number.parseInt(id, 16)) {
      throw new LogError("malformed", "verifier key: id does not fit the key");
    }
    return { name, type, id: Number.parseInt(id, 16), publicKey };
  });
}

// PKCS #8 around the seed of an Ed25519 key (RFC 8410 Section 7).
const pkcs8Prefix = new Uint8Array([
  0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
]);

/** Makes a key pair. */
export async function generateSigner(name: string, type: NoteKeyType): Promise<Signer> {
  if (!isKeyName(name)) throw new LogError("malformed", "signer: name holds a space or a plus sign");
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new LogError("malformed", "signer: no key pair");
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey));
  return { name, type, publicKey, id: keyId(name, type, publicKey), secret: pkcs8.slice(-32) };
}

/** One line that keeps a signer: the verifier key, a space, the base64 of its secret. */
export function serializeSigner(signer: Signer): string {
  return `${serializeVerifier(signer)} ${encodeBase64(signer.secret)}`;
}

/** Reads a signer's line; throws `LogError`. */
export function parseSigner(text: string): Signer {
  return strictly("signer", () => {
    const [verifier = "", secret = "", ...rest] = text.replace(/\n$/, "").split(" ");
    const seed = decodeBase64(secret);
    if (rest.length > 0 || seed.length !== 32) throw new LogError("malformed", "signer: not in its form");
    return { ...parseVerifier(verifier), secret: seed };
  });
}

/** Ed25519 over a message with a signer's secret (RFC 8032). */
export async function signEd25519(signer: Signer, message: Bytes): Promise<Bytes> {
  const key = await crypto.subtle.importKey(
    "pkcs8",
    concatBytes(pkcs8Prefix, signer.secret),
    "Ed25519",
    false,
    ["sign"],
  );
  return new Uint8Array(await crypto.subtle.sign("Ed25519", key, message));
}

const imported = new Map<string, Promise<CryptoKey>>();
const maxImported = 64;
const signatureLength = 64;
// Digests of signatures that were good. The same checkpoint comes with every session of a minute; a signature over the
// same bytes stays good, and how old it may be is judged each time.
const good = new Set<string>();
const maxGood = 256;

/**
 * Checks an Ed25519 signature; false for keys and signatures that are malformed (RFC 8032).
 *
 * The same on every platform: keys and points R of small order are refused, and encodings of A, R or S that are not
 * canonical; points with a component of small order are accepted where the equation holds without the cofactor.
 */
export async function isEd25519(verifier: Verifier, message: Bytes, signature: Bytes): Promise<boolean> {
  const seen = encodeHex(sha256(verifier.publicKey, signature, message));
  if (signature.length === signatureLength && good.has(seen)) return true;
  const isGood = await verifyEd25519(verifier, message, signature);
  if (!isGood) return false;
  if (good.size >= maxGood) good.clear();
  good.add(seen);
  return true;
}

async function verifyEd25519(verifier: Verifier, message: Bytes, signature: Bytes): Promise<boolean> {
  if (!isStrictPoint(verifier.publicKey) || !isStrictPoint(signature.subarray(0, 32))) return false;
  const id = encodeHex(verifier.publicKey);
  let key = imported.get(id);
  if (key === undefined) {
    if (imported.size >= maxImported) imported.clear();
    key = crypto.subtle.importKey("raw", verifier.publicKey, "Ed25519", false, ["verify"]);
    imported.set(id, key);
  }
  try {
    return await crypto.subtle.verify("Ed25519", await key, signature, message);
  } catch {
    return false;
  }
}
