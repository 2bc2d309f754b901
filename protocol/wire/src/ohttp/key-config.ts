// Key configurations (RFC 9458 Section 3).
import { ByteReader, type Bytes, ByteWriter } from "@sotto/base";
import { strictly, WireError } from "../wire-error.ts";

/** KEMs that are offered (RFC 9180 Section 7.1; draft-ietf-hpke-pq for the hybrid). */
export const kemId = { x25519: 0x0020, mlkem768X25519: 0x647a } as const;
/** HKDF-SHA256 (RFC 9180 Section 7.2). */
export const kdfHkdfSha256 = 0x0001;
/** AES-128-GCM (RFC 9180 Section 7.3). */
export const aeadAes128Gcm = 0x0001;

const publicKeyLengths: ReadonlyMap<number, number> = new Map([
  [kemId.x25519, 32],
  [kemId.mlkem768X25519, 1184 + 32], // ML-KEM-768 encapsulation key + X25519 share
]);
const encapsulatedLengths: ReadonlyMap<number, number> = new Map([
  [kemId.x25519, 32],
  [kemId.mlkem768X25519, 1088 + 32], // ML-KEM-768 ciphertext + X25519 share
]);

export type SymmetricSuite = { readonly kdfId: number; readonly aeadId: number };

/**
 * ```
 * HPKE Symmetric Algorithms { HPKE KDF ID (16), HPKE AEAD ID (16) }
 * Key Config { Key Identifier (8), HPKE KEM ID (16), HPKE Public Key (Npk * 8),
 *              HPKE Symmetric Algorithms Length (16), HPKE Symmetric Algorithms (32) ... }
 * ```
 */
export type KeyConfig = {
  readonly keyId: number;
  readonly kemId: number;
  readonly publicKey: Bytes;
  readonly suites: readonly SymmetricSuite[];
};

const maxSuites = 16;
const maxConfigs = 16;
const maxConfigBytes = 2048;

export function serializeKeyConfig(config: KeyConfig): Bytes {
  const suites = new ByteWriter();
  for (const { kdfId, aeadId } of config.suites) suites.u16(kdfId).u16(aeadId);
  return new ByteWriter()
    .u8(config.keyId)
    .u16(config.kemId)
    .bytes(config.publicKey)
    .vector(2, suites.finish())
    .finish();
}

/** Reads one configuration of a KEM that is known here; throws `WireError` (RFC 9458 Section 3.1). */
export function parseKeyConfig(bytes: Uint8Array): KeyConfig {
  return strictly("key config", () => {
    const reader = new ByteReader(bytes);
    const keyId = reader.u8();
    const kem = reader.u16();
    const length = publicKeyLengths.get(kem);
    if (length === undefined) throw new WireError("unsupported", "key config: unknown kem");
    const publicKey = reader.bytes(length);
    const list = new ByteReader(reader.vector(2, maxSuites * 4));
    const suites: SymmetricSuite[] = [];
    while (list.remaining > 0) suites.push({ kdfId: list.u16(), aeadId: list.u16() });
    if (suites.length === 0) throw new WireError("malformed", "key config: no algorithms");
    reader.end();
    return { keyId, kemId: kem, publicKey, suites };
  });
}

/** Writes `application/ohttp-keys` (RFC 9458 Section 3.2). */
export function serializeKeyConfigList(configs: readonly KeyConfig[]): Bytes {
  const writer = new ByteWriter();
  for (const config of configs) writer.vector(2, serializeKeyConfig(config));
  return writer.finish();
}

/** Reads `application/ohttp-keys`; configurations of unknown KEMs are passed over (RFC 9458 Section 3.2). */
export function parseKeyConfigList(bytes: Uint8Array): KeyConfig[] {
  return strictly("key config list", () => {
    const reader = new ByteReader(bytes);
    const configs: KeyConfig[] = [];
    for (let count = 0; reader.remaining > 0; count += 1) {
      if (count === maxConfigs) throw new WireError("too-large", "key config list: too many configurations");
      const config = reader.vector(2, maxConfigBytes);
      try {
        configs.push(parseKeyConfig(config));
      } catch (error) {
        if (!(error instanceof WireError && error.code === "unsupported")) throw error;
      }
    }
    if (configs.length === 0) throw new WireError("unsupported", "key config list: nothing usable");
    return configs;
  });
}

/**
 * ```
 * hdr = concat(encode(1, key_id), encode(2, kem_id), encode(2, kdf_id), encode(2, aead_id))
 * ```
 * (RFC 9458 Section 4.3)
 */
export function requestHeader(keyId: number, kem: number): Bytes {
  return new ByteWriter().u8(keyId).u16(kem).u16(kdfHkdfSha256).u16(aeadAes128Gcm).finish();
}

/** The parts of an encapsulated request before the ciphertext, still unverified. */
export type EncapsulatedHead = { readonly keyId: number; readonly kemId: number; readonly enc: Bytes };

/** Length of header and encapsulated key for a KEM; throws `WireError` for one that is not offered. */
export function encapsulatedHeadLength(kem: number): number {
  const length = encapsulatedLengths.get(kem);
  if (length === undefined) throw new WireError("unknown-key", "request is for a key that is not here");
  return 7 + length; // key id 1, kem 2, kdf 2, aead 2
}

/** Reads header and encapsulated key; everything that does not fit is a request for an unknown key. */
export function readEncapsulatedHead(reader: ByteReader): EncapsulatedHead {
  const keyId = reader.u8();
  const kem = reader.u16();
  const kdf = reader.u16();
  const aead = reader.u16();
  if (kdf !== kdfHkdfSha256 || aead !== aeadAes128Gcm) {
    throw new WireError("unknown-key", "request is for a key that is not here");
  }
  return { keyId, kemId: kem, enc: reader.bytes(encapsulatedHeadLength(kem) - 7) };
}
