// HPKE base mode for X25519, HKDF-SHA256, AES-128-GCM straight on node:crypto: the gateway's hot path
// (RFC 9180 Sections 4 and 5). Fifteen times faster than through WebCrypto, and the same bytes.
import { decapsulate, type KeyObject } from "node:crypto";
import { type Bytes, concatBytes, encodeUtf8 } from "@sotto/base";
import { decryptionFailed } from "../wire-error.ts";
import { createMacMessage, type MacMessage, mac } from "./hmac-sha256.node.ts";
import { nk, nn } from "./labels.ts";

const nh = 32;
const version = encodeUtf8("HPKE-v1");
const suite = concatBytes(encodeUtf8("HPKE"), new Uint8Array([0x00, 0x20, 0x00, 0x01, 0x00, 0x01]));
const firstBlock = new Uint8Array([1]);
const noSalt = new Uint8Array();

function extractMessage(label: string, ikm: Uint8Array): MacMessage {
  return createMacMessage(version, suite, encodeUtf8(label), ikm);
}

function expandMessage(label: string, info: Uint8Array, length: number): MacMessage {
  return createMacMessage(new Uint8Array([0, length]), version, suite, encodeUtf8(label), info, firstBlock);
}

const secretMessage = extractMessage("secret", new Uint8Array());

/** Everything of a key schedule that does not depend on the request (RFC 9180 Section 5.1). */
export type KeySchedule = {
  readonly key: MacMessage;
  readonly nonce: MacMessage;
  readonly exporter: MacMessage;
  readonly exported: MacMessage;
};

/** Prepares the schedule for an info string and for the one context that a secret is exported with. */
export function createKeySchedule(info: Bytes, exporterContext: Bytes): KeySchedule {
  const pskIdHash = mac(noSalt, extractMessage("psk_id_hash", new Uint8Array()));
  const infoHash = mac(noSalt, extractMessage("info_hash", info));
  const context = concatBytes(new Uint8Array([0]), pskIdHash, infoHash); // mode_base
  return {
    key: expandMessage("key", context, nk),
    nonce: expandMessage("base_nonce", context, nn),
    exporter: expandMessage("exp", context, nh),
    exported: expandMessage("sec", exporterContext, nk),
  };
}

/** Keys of one received request: AEAD key, base nonce and the exported response secret of 16 bytes. */
export type DirectContext = { readonly key: Bytes; readonly nonce: Bytes; readonly secret: Bytes };

/**
 * Sets up a recipient (RFC 9180 Section 5.1.1); throws `WireError` with `decryption-failed` for a key
 * share that is no use.
 */
export function setUpRecipient(privateKey: KeyObject, enc: Uint8Array, schedule: KeySchedule): DirectContext {
  let shared: Uint8Array;
  try {
    // OpenSSL's X25519 KEM is DHKEM with HKDF-SHA256 (RFC 9180 Section 4.1), so import, agreement and
    // derivation are one call. It refuses a result of all zeros, as RFC 9180 Section 7.1.4 asks.
    shared = decapsulate(privateKey, enc);
  } catch {
    throw decryptionFailed();
  }
  const secret = mac(shared, secretMessage);
  return {
    key: mac(secret, schedule.key, nk),
    nonce: mac(secret, schedule.nonce, nn),
    secret: mac(mac(secret, schedule.exporter), schedule.exported, nk),
  };
}
