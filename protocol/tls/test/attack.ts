// How a client is attacked, and what came of it: the same terms for our client and for OpenSSL's.
import { X509Certificate } from "node:crypto";
import { type Bytes, copyBytes } from "@sotto/base";
import type { Heard } from "./hostile-server.ts";

export type Attack = {
  /** Offered by the client, X25519 alone where left out, since it is the faster. */
  readonly groups?: readonly ("X25519MLKEM768" | "X25519")[];
  /** False where only the protocol itself is to refuse, not the profile's rules on top: certificate, group, tickets. */
  readonly isJudged?: boolean;
};

/** Bytes after which a client that still takes more is given up, with the code `never`. */
export const patience = 1 << 20;

export type Outcome = {
  /** Whether the handshake was taken for good, at least for a while. */
  readonly isSecured: boolean;
  /** Why the connection was refused, then or later; undefined where it never was. */
  readonly code: string | undefined;
  /** Plaintext that was handed on. */
  readonly data: Bytes;
  readonly heard: Heard;
  /** Bytes of the server's stream that were taken. */
  readonly consumed: number;
};

/** The key of a certificate, where it has one, and `bad-certificate` where a client of the profile refuses it. */
export function judged(certificate: Bytes): {
  readonly spki: Bytes | undefined;
  readonly code: "bad-certificate" | undefined;
} {
  let spki: Bytes | undefined;
  try {
    const parsed = new X509Certificate(certificate);
    const key = parsed.publicKey;
    spki = copyBytes(key.export({ type: "spki", format: "der" }));
    const isWhole = parsed.raw.length === certificate.length;
    const isOnP256 = key.asymmetricKeyDetails?.namedCurve === "prime256v1";
    return { spki, code: isWhole && isOnP256 && parsed.verify(key) ? undefined : "bad-certificate" };
  } catch {
    return { spki, code: "bad-certificate" };
  }
}
