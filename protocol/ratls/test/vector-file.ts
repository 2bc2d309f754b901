// The form of spec/vectors/attested-session.json; bytes as lowercase hexadecimal.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TrustSettings } from "@sotto/attestation";
import type { Role } from "@sotto/log";

type Refused = { readonly code: string };
type Fields = Readonly<Record<string, string>>;

export type SessionVectors = {
  readonly about: string;
  readonly frames: {
    readonly taken: readonly {
      readonly type: number;
      readonly content: string;
      readonly padTo: number;
      readonly bytes: string;
    }[];
    /** `expected`: types that may come then. */
    readonly refused: readonly (Refused & {
      readonly why: string;
      readonly bytes: string;
      readonly expected: readonly number[];
    })[];
  };
  readonly attestRequests: readonly ({ readonly bytes: string } & ({ readonly nonce: string } | Refused))[];
  readonly exporters: readonly {
    readonly suite: string;
    readonly exporterMasterSecret: string;
    readonly end: "server" | "client";
    readonly attestRequest: string;
    readonly exporter: string;
  }[];
  readonly leaves: readonly {
    readonly role: Role;
    readonly binding: Fields;
    readonly parts: Fields;
    readonly leaf: string;
  }[];
  readonly batches: readonly {
    readonly size: number;
    readonly reportData: string;
    readonly sessions: readonly { readonly leaf: string; readonly path: readonly string[] }[];
  }[];
  readonly certificates: readonly ({
    readonly why: string;
    readonly der: string;
    readonly nowMs: number;
  } & ({ readonly spkiDigest: string } | Refused))[];
  readonly evidence: {
    readonly bytes: string;
    readonly settings: TrustSettings;
    readonly nowMs: number;
    readonly role: Role;
    readonly binding: Fields;
    readonly overall: string;
    /** What is done to the above, and what it is refused with then. */
    readonly refused: readonly (Refused & {
      readonly why: string;
      readonly binding?: Fields;
      readonly role?: Role;
      readonly laterMs?: number;
      readonly append?: string;
      readonly flip?: number;
    })[];
  };
};

/** Reads the vectors of this clone. */
export function readVectors(): SessionVectors {
  const path = join(import.meta.dirname, "../../../spec/vectors/attested-session.json");
  return JSON.parse(readFileSync(path, "utf8"));
}
