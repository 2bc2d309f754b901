// A page that judges signatures with the code of the log.
import { decodeHex, encodeUtf8 } from "@sotto/base";
import { isEd25519 } from "../../protocol/log/src/key.ts";

export type SignatureCase = { readonly key: string; readonly sig: string; readonly msg: string };

declare global {
  var judgeSignatures: (cases: readonly SignatureCase[]) => Promise<boolean[]>;
}

globalThis.judgeSignatures = (cases) => Promise.all(cases.map(judgeSignature));

/** The verdict of this platform. */
export function judgeSignature({ key, sig, msg }: SignatureCase): Promise<boolean> {
  const verifier = { name: "edge", type: 1, id: 0, publicKey: decodeHex(key) } as const;
  return isEd25519(verifier, encodeUtf8(msg), decodeHex(sig));
}
