// Key shares and the secrets that come of them (RFC 8446 Section 4.2.8; draft-ietf-tls-ecdhe-mlkem). X25519 is the
// platform's; ML-KEM-768 too where it has it.
import { ml_kem768 as mlKem768 } from "@noble/post-quantum/ml-kem.js";
import { type Bytes, concatBytes, copyBytes, isAllZero, type Random } from "@sotto/base";
import type { GroupName } from "./parameters.ts";
import { TlsError } from "./tls-error.ts";

/** This end's part of a key exchange. */
export type KeyShare = {
  readonly group: GroupName;
  readonly share: Bytes;
  /** The shared secret; throws `illegal-parameter` for a share that is none. */
  readonly agree: (serverShare: Bytes) => Promise<Bytes>;
  /** Forgets the private key. */
  readonly destroy: () => void;
};

type Half = Omit<KeyShare, "group">;

const x25519Length = 32;
const ciphertextLength = 1088; // of ML-KEM-768
const mlKemName = "ML-KEM-768";

/** Makes a share for a group; throws `unsupported-platform`. */
export async function createKeyShare(group: GroupName, random: Random): Promise<KeyShare> {
  if (group === "X25519") return { group, ...(await createX25519()) };
  const [mlKem, x25519] = await Promise.all([createMlKem(random), createX25519()]);
  return {
    group,
    share: concatBytes(mlKem.share, x25519.share),
    destroy: mlKem.destroy,
    agree: async (serverShare) => {
      if (serverShare.length !== ciphertextLength + x25519Length) throw refuse();
      const secrets = await Promise.all([
        mlKem.agree(serverShare.slice(0, ciphertextLength)),
        x25519.agree(serverShare.slice(ciphertextLength)),
      ]);
      const secret = concatBytes(...secrets);
      for (const half of secrets) half.fill(0);
      return secret;
    },
  };
}

async function createX25519(): Promise<Half> {
  const algorithm = { name: "X25519" };
  let pair: CryptoKeyPair | CryptoKey;
  try {
    pair = await crypto.subtle.generateKey(algorithm, false, ["deriveBits"]);
  } catch (cause) {
    throw new TlsError("unsupported-platform", "the platform has no x25519", { cause });
  }
  const { privateKey, publicKey } = requirePair(pair);
  return {
    share: new Uint8Array(await crypto.subtle.exportKey("raw", publicKey)),
    destroy: forgetWithObject,
    agree: async (serverShare) => {
      if (serverShare.length !== x25519Length) throw refuse();
      try {
        const key = await crypto.subtle.importKey("raw", serverShare, algorithm, true, []);
        const bits = await crypto.subtle.deriveBits(
          { ...algorithm, public: key },
          privateKey,
          8 * x25519Length,
        );
        const secret = new Uint8Array(bits);
        // A point of small order; the platform refuses it as well (RFC 8446 Section 7.4.2).
        if (!isAllZero(secret)) return secret;
      } catch (cause) {
        throw refuse(cause);
      }
      throw refuse();
    },
  };
}

async function createMlKem(random: Random): Promise<Half> {
  const platform = platformMlKem();
  if (platform !== undefined) {
    try {
      return await createPlatformMlKem(platform);
    } catch {
      // It has the methods, but not this algorithm.
    }
  }
  const seed = random(64);
  const { publicKey, secretKey } = mlKem768.keygen(seed);
  seed.fill(0);
  return {
    share: copyBytes(publicKey),
    destroy: () => void secretKey.fill(0),
    agree: async (ciphertext) => copyBytes(mlKem768.decapsulate(ciphertext, secretKey)),
  };
}

// The methods as WebCrypto's modern algorithms define them, newer than the compiler's own types.
type KemSubtle = {
  generateKey(algorithm: { name: string }, extractable: boolean, usages: string[]): Promise<CryptoKeyPair>;
  exportKey(format: "raw-public", key: CryptoKey): Promise<ArrayBuffer>;
  decapsulateBits(algorithm: { name: string }, key: CryptoKey, ciphertext: Bytes): Promise<ArrayBuffer>;
};

function platformMlKem(): KemSubtle | undefined {
  const subtle: object = crypto.subtle;
  // Looked for by name: platforms without it are many.
  return "decapsulateBits" in subtle ? (subtle as KemSubtle) : undefined;
}

async function createPlatformMlKem(subtle: KemSubtle): Promise<Half> {
  const algorithm = { name: mlKemName };
  const { publicKey, privateKey } = await subtle.generateKey(algorithm, false, ["decapsulateBits"]);
  const share = new Uint8Array(await subtle.exportKey("raw-public", publicKey));
  return {
    share,
    destroy: forgetWithObject,
    agree: async (ciphertext) => {
      try {
        return new Uint8Array(await subtle.decapsulateBits(algorithm, privateKey, ciphertext));
      } catch (cause) {
        throw refuse(cause);
      }
    },
  };
}

// A platform's key cannot be wiped; it goes with what holds it.
const forgetWithObject = (): void => {};

function requirePair(pair: CryptoKeyPair | CryptoKey): CryptoKeyPair {
  if ("publicKey" in pair) return pair;
  throw new TlsError("unsupported-platform", "the platform made half a key pair");
}

function refuse(cause?: unknown): TlsError {
  return new TlsError("illegal-parameter", "key exchange: the server's share is none", { cause });
}
