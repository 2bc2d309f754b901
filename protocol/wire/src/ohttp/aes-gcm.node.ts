// AES-128-GCM on node:crypto (RFC 9180 Section 7.3).
import { createCipheriv, createDecipheriv } from "node:crypto";
import type { Bytes } from "@sotto/base";
import { decryptionFailed } from "../wire-error.ts";
import { nt } from "./labels.ts";

const cipherName = "aes-128-gcm";
const options = { authTagLength: nt } as const;

/** Ciphertext and tag, apart, so that the caller joins everything in one copy. */
export function sealGcm(
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  content: Uint8Array,
): readonly [ciphertext: Uint8Array, tag: Uint8Array] {
  const cipher = createCipheriv(cipherName, key, nonce, options);
  if (aad.length > 0) cipher.setAAD(aad);
  const ciphertext = cipher.update(content);
  cipher.final();
  return [ciphertext, cipher.getAuthTag()];
}

/** Opens ciphertext followed by its tag; throws `WireError` with `decryption-failed`. */
export function openGcm(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Bytes {
  if (sealed.length < nt) throw decryptionFailed();
  const split = sealed.length - nt;
  const decipher = createDecipheriv(cipherName, key, nonce, options);
  if (aad.length > 0) decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(split));
  const opened = decipher.update(sealed.subarray(0, split));
  try {
    decipher.final();
  } catch {
    throw decryptionFailed();
  }
  return new Uint8Array(opened.buffer, opened.byteOffset, opened.length);
}
