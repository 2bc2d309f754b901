// The gateway's private keys, kept in the form in which they are fastest to use.
import { createPrivateKey, type KeyObject } from "node:crypto";
import { type Bytes, copyBytes } from "@sotto/base";
import type * as hpke from "hpke";
import { WireError } from "../wire-error.ts";
import { hpkeSuite } from "./client.ts";
import { keyScheduleContext } from "./direct-hpke.node.ts";
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
      readonly plainContext: Bytes;
      readonly chunkedContext: Bytes;
    }
  | {
      readonly kind: "package";
      readonly config: KeyConfig;
      readonly suite: hpke.CipherSuite;
      readonly keyPair: hpke.KeyPair;
      readonly plainInfo: Bytes;
      readonly chunkedInfo: Bytes;
    };

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
  if (config.kemId === kemId.x25519) {
    return {
      kind: "direct",
      config,
      privateKey: createPrivateKey({
        key: Buffer.from(privateKey),
        format: "raw-private",
        asymmetricKeyType: "x25519",
      }),
      plainContext: keyScheduleContext(plainInfo),
      chunkedContext: keyScheduleContext(chunkedInfo),
    };
  }
  const suite = hpkeSuite(config.kemId);
  const keyPair = {
    privateKey: await suite.DeserializePrivateKey(privateKey),
    publicKey: await suite.DeserializePublicKey(config.publicKey),
  };
  return { kind: "package", config, suite, keyPair, plainInfo, chunkedInfo };
}
