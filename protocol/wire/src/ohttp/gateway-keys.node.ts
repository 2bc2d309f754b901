// The gateway's private keys, kept in the form in which they are fastest to use.
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { type Bytes, copyBytes, equalBytes } from "@sotto/base";
import type * as hpke from "hpke";
import { WireError } from "../wire-error.ts";
import { hpkeSuite } from "./client.ts";
import { createKeySchedule, type KeySchedule } from "./direct-hpke.node.ts";
import { aeadAes128Gcm, type KeyConfig, kdfHkdfSha256, kemId, requestHeader } from "./key-config.ts";
import { chunkedLabels, plainLabels, requestInfo } from "./labels.ts";

/** A key configuration with its private key, as a file may hold it. */
export type GatewayKeyPair = { readonly config: KeyConfig; readonly privateKey: Bytes };

/** A private key ready for use: X25519 direct, the hybrid through the `hpke` package. */
export type GatewayKey =
  | {
      readonly kind: "direct";
      readonly config: KeyConfig;
      readonly privateKey: KeyObject;
      readonly plain: KeySchedule;
      readonly chunked: KeySchedule;
    }
  | {
      readonly kind: "package";
      readonly config: KeyConfig;
      readonly suite: hpke.CipherSuite;
      readonly keyPair: hpke.KeyPair;
      readonly plain: Bytes;
      readonly chunked: Bytes;
    };

/** What a gateway can open, by key identifier. */
export type GatewayKeys = ReadonlyMap<number, GatewayKey>;

/** Makes a key pair for a KEM of `kemId`. */
export async function generateKeyPair(keyId: number, kem: number): Promise<GatewayKeyPair> {
  const suite = hpkeSuite(kem);
  const pair = await suite.GenerateKeyPair(true);
  return {
    config: {
      keyId,
      kemId: kem,
      publicKey: copyBytes(await suite.SerializePublicKey(pair.publicKey)),
      suites: [{ kdfId: kdfHkdfSha256, aeadId: aeadAes128Gcm }],
    },
    privateKey: copyBytes(await suite.SerializePrivateKey(pair.privateKey)),
  };
}

/** Loads key pairs; identifiers must differ. Throws `WireError`. */
export async function createGatewayKeys(pairs: readonly GatewayKeyPair[]): Promise<GatewayKeys> {
  const keys = new Map<number, GatewayKey>();
  for (const pair of pairs) {
    if (keys.has(pair.config.keyId)) throw new WireError("malformed", "gateway keys: identifier used twice");
    keys.set(pair.config.keyId, await loadKey(pair));
  }
  return keys;
}

async function loadKey({ config, privateKey }: GatewayKeyPair): Promise<GatewayKey> {
  const header = requestHeader(config.keyId, config.kemId);
  const plainInfo = requestInfo(plainLabels, header);
  const chunkedInfo = requestInfo(chunkedLabels, header);
  const offered = config.suites.some(
    ({ kdfId, aeadId }) => kdfId === kdfHkdfSha256 && aeadId === aeadAes128Gcm,
  );
  if (!offered) throw new WireError("unsupported", "gateway keys: no supported algorithms");
  if (config.kemId === kemId.x25519) {
    return {
      kind: "direct",
      config,
      privateKey: loadX25519(config.publicKey, privateKey),
      plain: createKeySchedule(plainInfo, plainLabels.response),
      chunked: createKeySchedule(chunkedInfo, chunkedLabels.response),
    };
  }
  const suite = hpkeSuite(config.kemId);
  const keyPair = await loadPair(suite, config.publicKey, privateKey);
  return { kind: "package", config, suite, keyPair, plain: plainInfo, chunked: chunkedInfo };
}

function loadX25519(publicKey: Bytes, privateKey: Bytes): KeyObject {
  let key: KeyObject;
  let actual: Uint8Array;
  try {
    key = createPrivateKey({
      key: Buffer.from(privateKey),
      format: "raw-private",
      asymmetricKeyType: "x25519",
    });
    actual = createPublicKey(key).export({ format: "raw-public" });
  } catch (cause) {
    throw new WireError("malformed", "gateway keys: private key is not valid", { cause });
  }
  if (!equalBytes(actual, publicKey)) throw mismatch();
  return key;
}

async function loadPair(suite: hpke.CipherSuite, publicKey: Bytes, privateKey: Bytes): Promise<hpke.KeyPair> {
  const probe = new Uint8Array(1);
  let keyPair: hpke.KeyPair;
  let sealed: Awaited<ReturnType<typeof suite.Seal>>;
  try {
    keyPair = {
      privateKey: await suite.DeserializePrivateKey(privateKey),
      publicKey: await suite.DeserializePublicKey(publicKey),
    };
    sealed = await suite.Seal(keyPair.publicKey, probe);
  } catch (cause) {
    throw new WireError("malformed", "gateway keys: private key is not valid", { cause });
  }
  try {
    await suite.Open(keyPair, sealed.encapsulatedSecret, sealed.ciphertext);
  } catch {
    throw mismatch();
  }
  return keyPair;
}

function mismatch(): WireError {
  return new WireError("malformed", "gateway keys: public and private key differ");
}
