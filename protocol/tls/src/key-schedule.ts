// The key schedule of TLS 1.3 without pre-shared keys (RFC 8446 Section 7.1). Functions of bytes; who calls them forgets
// the secrets.
import { expand, extract } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 as nobleSha256, sha384 as nobleSha384 } from "@noble/hashes/sha2.js";
import { type Bytes, ByteWriter, copyBytes, encodeUtf8, sha256, sha384 } from "@sotto/base";
import type { CipherSuite } from "./parameters.ts";

const hashes = {
  sha256: { transcript: sha256, keyed: nobleSha256 },
  sha384: { transcript: sha384, keyed: nobleSha384 },
} as const;

/** What both directions of one stage are keyed with. */
export type TrafficSecrets = { readonly client: Bytes; readonly server: Bytes };

/** Hash of handshake messages, in the suite's hash (RFC 8446 Section 4.4.1). */
export function hashTranscript(suite: CipherSuite, messages: readonly Bytes[]): Bytes {
  return hashes[suite.hash].transcript(...messages);
}

/** `HKDF-Expand-Label(secret, label, context, length)` (RFC 8446 Section 7.1). */
export function expandLabel(
  suite: CipherSuite,
  secret: Bytes,
  label: string,
  context: Uint8Array,
  length: number,
): Bytes {
  const info = new ByteWriter()
    .u16(length)
    .vector(1, encodeUtf8(`tls13 ${label}`))
    .vector(1, context)
    .finish();
  return copyBytes(expand(hashes[suite.hash].keyed, secret, info, length));
}

/** `Derive-Secret(secret, label, messages)`, of messages that have been hashed (RFC 8446 Section 7.1). */
export function deriveSecret(suite: CipherSuite, secret: Bytes, label: string, transcript: Bytes): Bytes {
  return expandLabel(suite, secret, label, transcript, suite.hashLength);
}

/** The handshake secret; the early secret before it has no input but zeros. */
export function handshakeSecret(suite: CipherSuite, sharedSecret: Bytes): Bytes {
  const zeros = new Uint8Array(suite.hashLength);
  const early = hkdfExtract(suite, zeros, zeros);
  return hkdfExtract(suite, deriveSecret(suite, early, "derived", hashTranscript(suite, [])), sharedSecret);
}

/** The master secret that follows a handshake secret. */
export function masterSecret(suite: CipherSuite, secret: Bytes): Bytes {
  const salt = deriveSecret(suite, secret, "derived", hashTranscript(suite, []));
  return hkdfExtract(suite, salt, new Uint8Array(suite.hashLength));
}

/** Secrets that protect the handshake; `transcript` runs from ClientHello to ServerHello. */
export function handshakeTraffic(suite: CipherSuite, secret: Bytes, transcript: Bytes): TrafficSecrets {
  return {
    client: deriveSecret(suite, secret, "c hs traffic", transcript),
    server: deriveSecret(suite, secret, "s hs traffic", transcript),
  };
}

/** Secrets that protect application data; `transcript` runs from ClientHello to the server's Finished. */
export function applicationTraffic(suite: CipherSuite, master: Bytes, transcript: Bytes): TrafficSecrets {
  return {
    client: deriveSecret(suite, master, "c ap traffic", transcript),
    server: deriveSecret(suite, master, "s ap traffic", transcript),
  };
}

/** The secret of the same direction after a KeyUpdate (RFC 8446 Section 7.2). */
export function nextTrafficSecret(suite: CipherSuite, secret: Bytes): Bytes {
  return expandLabel(suite, secret, "traffic upd", new Uint8Array(), suite.hashLength);
}

/** The exporter's own secret; `transcript` runs from ClientHello to the server's Finished. */
export function exporterSecret(suite: CipherSuite, master: Bytes, transcript: Bytes): Bytes {
  return deriveSecret(suite, master, "exp master", transcript);
}

/** `TLS-Exporter(label, context, length)` (RFC 8446 Section 7.5). */
export function exportKeys(
  suite: CipherSuite,
  secret: Bytes,
  label: string,
  context: Uint8Array,
  length: number,
): Bytes {
  const derived = deriveSecret(suite, secret, label, hashTranscript(suite, []));
  return expandLabel(suite, derived, "exporter", hashTranscript(suite, [copyBytes(context)]), length);
}

/** `verify_data` of a Finished whose sender protects the handshake with this secret (RFC 8446 Section 4.4.4). */
export function finishedMac(suite: CipherSuite, trafficSecret: Bytes, transcript: Bytes): Bytes {
  const key = expandLabel(suite, trafficSecret, "finished", new Uint8Array(), suite.hashLength);
  return copyBytes(hmac(hashes[suite.hash].keyed, key, transcript));
}

function hkdfExtract(suite: CipherSuite, salt: Bytes, input: Bytes): Bytes {
  return copyBytes(extract(hashes[suite.hash].keyed, input, salt));
}
