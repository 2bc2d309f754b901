// The attested session's constants (spec/attested-session.md): labels, lifetimes, limits.

import type { SessionBinding } from "@sotto/attestation";

/** What a session's server is. */
export type SessionRole = SessionBinding["role"];

/** Servers that talk to other nodes only, and want their evidence too. */
export type MutualRole = Exclude<SessionRole, "orchestrator">;

/** Application protocol that both ends insist on (RFC 7301); it tells whether one end attests or both. */
export const alpnOf: Readonly<Record<SessionRole, string>> = {
  orchestrator: "sotto/1",
  predictor: "sotto-node/1",
  guard: "sotto-node/1",
};

/** What the client of a mutual session is, always. */
export const clientRole = "orchestrator" satisfies SessionRole;

/** Labels of the exporters that the evidence of each end is bound to (RFC 8446 Section 7.5). */
export const exporterLabels = {
  server: "EXPORTER-sotto-attested-session-1-server",
  client: "EXPORTER-sotto-attested-session-1-client",
} as const;
export const exporterLength = 32;

export const hybridGroup = "X25519MLKEM768";
export const classicalGroup = "X25519";

/** Groups to offer: the hybrid one, and X25519 after it only for who asks for that. */
export function offeredGroups(
  allowClassical: boolean,
): readonly (typeof hybridGroup | typeof classicalGroup)[] {
  return allowClassical ? [hybridGroup, classicalGroup] : [hybridGroup];
}

/** Certificates live as long as a session may, with room for clocks that differ. */
export const certificateLifetimeMs = 50 * 60_000;
export const maxCertificateLifetimeMs = 60 * 60_000;
export const clockSkewMs = 5 * 60_000;
export const maxCertificateBytes = 2 * 1024;

export const attestVersion = 1;
export const nonceLength = 32;

/** Limits of content and padding together, in bytes. */
export const limits = {
  attestRequest: 1 + nonceLength,
  attestResponse: 256 * 1024,
  request: 1024 * 1024,
  response: 64 * 1024,
  /** Of the answer's last frame, which is always padded to this, so that a failure looks like an end. */
  last: 64,
} as const;

/** Sizes of answers show in steps of this many bytes only. */
export const answerPadding = 256;

/** How often the server of a long answer must attest anew: after so much time, or so many bytes of the answer. */
export const defaultReattest = { everyMs: 5 * 60_000, everyBytes: 16 * 1024 * 1024 } as const;
/** How long it may take to do so. */
export const reattestGraceMs = 60_000;
/** How often it can be asked to in one session. */
export const maxReattests = 16;
