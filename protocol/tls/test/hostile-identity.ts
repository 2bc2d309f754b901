// What the hostile server is: a certificate in the session's form, and its half of a key exchange.
import {
  createPublicKey,
  diffieHellman,
  encapsulate,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from "node:crypto";
import { type Bytes, ByteWriter, concatBytes, copyBytes, encodeUtf8 } from "@sotto/base";
import { groups } from "./hostile-messages.ts";

export type Identity = { readonly key: KeyObject; readonly certificate: Bytes; readonly spki: Bytes };

const hourMs = 3_600_000;

/** A key on a curve, and a certificate that it signs itself: version 3, no extensions (RFC 5280 Section 4.1). */
export function createIdentity(
  options: { readonly namedCurve?: string; readonly nowMs?: number; readonly signer?: KeyObject } = {},
): Identity {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: options.namedCurve ?? "P-256" });
  const spki = copyBytes(publicKey.export({ type: "spki", format: "der" }));
  const from = (options.nowMs ?? Date.now()) - hourMs / 12;
  const algorithm = element(0x30, Uint8Array.fromHex("06082a8648ce3d040302")); // ecdsa-with-SHA256
  const commonName = element(0x30, Uint8Array.fromHex("0603550403"), element(0x0c, encodeUtf8("sotto")));
  const name = element(0x30, element(0x31, commonName));
  const tbs = element(
    0x30,
    element(0xa0, element(0x02, Uint8Array.of(2))),
    element(0x02, Uint8Array.of(0x42, 1, 2, 3, 4, 5, 6, 7)),
    algorithm,
    name,
    element(0x30, utcTime(from), utcTime(from + 0.8 * hourMs)),
    name,
    spki,
  );
  const signature = sign("sha256", tbs, options.signer ?? privateKey);
  const certificate = element(0x30, tbs, algorithm, element(0x03, Uint8Array.of(0), signature));
  return { key: privateKey, certificate, spki };
}

function element(tag: number, ...parts: readonly Uint8Array[]): Bytes {
  const content = concatBytes(...parts);
  const head = new ByteWriter().u8(tag);
  if (content.length > 0xff) head.u8(0x82).u16(content.length);
  else if (content.length > 0x7f) head.u8(0x81).u8(content.length);
  else head.u8(content.length);
  return head.bytes(content).finish();
}

function utcTime(ms: number): Bytes {
  const [date = "", time = ""] = new Date(ms).toISOString().split("T");
  return element(
    0x17,
    encodeUtf8(`${date.slice(2).replaceAll("-", "")}${time.slice(0, 8).replaceAll(":", "")}Z`),
  );
}

/** The server's share for a client's, and the secret that both then have. */
export type Agreement = { readonly group: number; readonly share: Bytes; readonly secret: Bytes };

/** Answers a share of the hybrid group (ML-KEM-768 first, then X25519) or of X25519. */
export function agree(group: number, clientShare: Bytes): Agreement {
  const pair = generateKeyPairSync("x25519");
  const own = copyBytes(pair.publicKey.export({ format: "raw-public" }));
  const theirs = rawKey("x25519", clientShare.subarray(-32));
  const classical = copyBytes(diffieHellman({ privateKey: pair.privateKey, publicKey: theirs }));
  if (group !== groups.hybrid) return { group, share: own, secret: classical };
  const { ciphertext, sharedKey } = encapsulate(rawKey("ml-kem-768", clientShare.subarray(0, -32)));
  return { group, share: concatBytes(ciphertext, own), secret: concatBytes(sharedKey, classical) };
}

function rawKey(asymmetricKeyType: "x25519" | "ml-kem-768", key: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.from(key), format: "raw-public", asymmetricKeyType });
}
