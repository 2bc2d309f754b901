// HPKE base mode for X25519, HKDF-SHA256, AES-128-GCM straight on node:crypto: the gateway's hot path
// (RFC 9180 Sections 4 and 5). Ten times faster than through WebCrypto, and the same bytes.
import { createDecipheriv, createHmac, createPublicKey, diffieHellman, type KeyObject } from "node:crypto";
import { type Bytes, concatBytes, encodeUtf8 } from "@sotto/base";
import { decryptionFailed } from "../wire-error.ts";
import { nk, nn, nt } from "./labels.ts";

const nh = 32;
const version = encodeUtf8("HPKE-v1");
const kemSuite = concatBytes(encodeUtf8("KEM"), new Uint8Array([0x00, 0x20]));
const hpkeSuite = concatBytes(encodeUtf8("HPKE"), new Uint8Array([0x00, 0x20, 0x00, 0x01, 0x00, 0x01]));

// Labels never change, so everything around the variable part is joined once.
const eaePrk = concatBytes(version, kemSuite, encodeUtf8("eae_prk"));
const sharedSecretInfo = concatBytes(lengthPrefix(nh), version, kemSuite, encodeUtf8("shared_secret"));
const secretIkm = concatBytes(version, hpkeSuite, encodeUtf8("secret"));
const keyInfo = concatBytes(lengthPrefix(nk), version, hpkeSuite, encodeUtf8("key"));
const nonceInfo = concatBytes(lengthPrefix(nn), version, hpkeSuite, encodeUtf8("base_nonce"));
const exporterInfo = concatBytes(lengthPrefix(nh), version, hpkeSuite, encodeUtf8("exp"));
const exportInfo = concatBytes(lengthPrefix(nk), version, hpkeSuite, encodeUtf8("sec"));
const noSalt = new Uint8Array(nh);
const one = new Uint8Array([1]);

/** The part of a key schedule that depends on the info string alone (RFC 9180 Section 5.1). */
export function keyScheduleContext(info: Bytes): Bytes {
  const extract = (label: string, ikm: Uint8Array): Buffer =>
    hmac(noSalt, version, hpkeSuite, encodeUtf8(label), ikm);
  return concatBytes(new Uint8Array(1), extract("psk_id_hash", new Uint8Array()), extract("info_hash", info));
}

/** Keys of one received request: AEAD key, base nonce and the exported response secret. */
export type DirectContext = { readonly key: Buffer; readonly nonce: Buffer; readonly secret: Buffer };

/**
 * Sets up a recipient (RFC 9180 Section 5.1.1); `exporterContext` is what the response secret is
 * exported with. Throws `WireError` with `decryption-failed` for a key share that is no use.
 */
export function setUpRecipient(
  privateKey: KeyObject,
  publicKey: Bytes,
  enc: Bytes,
  scheduleContext: Bytes,
  exporterContext: Bytes,
): DirectContext {
  let shared: Buffer;
  try {
    const peer = createPublicKey({
      key: Buffer.from(enc.buffer, enc.byteOffset, enc.length),
      format: "raw-public",
      asymmetricKeyType: "x25519",
    });
    // OpenSSL refuses a result of all zeros, as RFC 9180 Section 7.1.4 asks.
    shared = diffieHellman({ privateKey, publicKey: peer });
  } catch {
    throw decryptionFailed();
  }
  const prk = hmac(noSalt, eaePrk, shared);
  const sharedSecret = hmac(prk, sharedSecretInfo, enc, publicKey, one);
  const secret = hmac(sharedSecret, secretIkm);
  const key = hmac(secret, keyInfo, scheduleContext, one).subarray(0, nk);
  const nonce = hmac(secret, nonceInfo, scheduleContext, one).subarray(0, nn);
  const exporter = hmac(secret, exporterInfo, scheduleContext, one);
  return { key, nonce, secret: hmac(exporter, exportInfo, exporterContext, one).subarray(0, nk) };
}

/** HMAC-SHA256 over the parts: HKDF's Extract, and its Expand for up to one block (RFC 5869). */
export function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  const mac = createHmac("sha256", key);
  for (const part of parts) mac.update(part);
  return mac.digest();
}

/** Opens AES-128-GCM; throws `WireError` with `decryption-failed`. */
export function openDirect(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Bytes {
  if (sealed.length < nt) throw decryptionFailed();
  const split = sealed.length - nt;
  const decipher = createDecipheriv("aes-128-gcm", key, nonce, { authTagLength: nt });
  if (aad.length > 0) decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(split));
  const opened = decipher.update(sealed.subarray(0, split));
  try {
    decipher.final();
  } catch {
    throw decryptionFailed();
  }
  return new Uint8Array(opened.buffer as ArrayBuffer, opened.byteOffset, opened.length); // node:crypto output is never shared memory
}

function lengthPrefix(length: number): Uint8Array {
  return new Uint8Array([length >> 8, length & 0xff]);
}
