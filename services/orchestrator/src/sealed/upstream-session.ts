// An attested session with a node that this process will ask; its ciphertext passes through the process that started
// this one, which picked the address.
import type { TrustPolicy } from "@sotto/attestation";
import type { Clock, Random } from "@sotto/base";
import { type ClientSession, openClientSession, RatlsError } from "@sotto/ratls";
import type { Channel } from "@sotto/sealed/child";

export type UpstreamOptions = {
  readonly channel: Channel;
  readonly role: "predictor" | "guard";
  readonly policy: TrustPolicy;
  readonly clock: Clock;
  readonly random: Random;
};

/** A session, or why there is none: nobody can be reached, or who was reached was refused. */
export type Upstream =
  | { readonly session: ClientSession; readonly problem?: never }
  | { readonly session?: never; readonly problem: "refused" | "unreachable" };

const timeoutMs = 20_000;
const unreachable: ReadonlySet<string> = new Set(["truncated", "aborted", "busy", "peer-failed"]);

/** Opens a session and verifies who is at its other end. */
export async function openUpstream(options: UpstreamOptions): Promise<Upstream> {
  const { channel, role, policy, clock, random } = options;
  // A timer of its own rather than AbortSignal.timeout, which would hold the session until it fires.
  const opening = new AbortController();
  const timer = setTimeout(() => opening.abort(), timeoutMs);
  try {
    const stream = channel.open(role);
    const session = await openClientSession({ stream, policy, role, clock, random, signal: opening.signal });
    return { session };
  } catch (error) {
    const isAbsent = error instanceof RatlsError && unreachable.has(error.code);
    return { problem: isAbsent ? "unreachable" : "refused" };
  } finally {
    clearTimeout(timer);
  }
}
