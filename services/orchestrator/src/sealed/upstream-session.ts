// An attested session with a node that this process will ask; its ciphertext passes through the process that started
// this one, which picked the address.
import type { SessionBinding, TrustPolicy } from "@sotto/attestation";
import type { Clock, Random } from "@sotto/base";
import { type ClientSession, openClientSession, RatlsError } from "@sotto/ratls";
import { type Channel, ChannelError, requestEvidence } from "@sotto/sealed/child";

export type UpstreamOptions = {
  readonly channel: Channel;
  readonly role: "predictor" | "guard";
  readonly policy: TrustPolicy;
  readonly clock: Clock;
  readonly random: Random;
};

/** A session, or why there is none: nobody can be reached, who was reached was refused, or has turned this one away. */
export type Upstream =
  | { readonly session: ClientSession; readonly problem?: never }
  | { readonly session?: never; readonly problem: "refused" | "unreachable" | "turned-away" };

const timeoutMs = 20_000;
const unreachable: ReadonlySet<string> = new Set(["truncated", "aborted", "busy", "peer-failed"]);

/** Opens a session, verifies who is at its other end, and shows evidence of this one. */
export async function openUpstream(options: UpstreamOptions): Promise<Upstream> {
  const { channel, role, policy, clock, random } = options;
  // A timer of its own rather than AbortSignal.timeout, which would hold the session until it fires.
  const opening = new AbortController();
  const timer = setTimeout(() => opening.abort(), timeoutMs);
  try {
    const stream = channel.open(role);
    const attester = { attest: (binding: SessionBinding) => requestEvidence(channel, role, binding) };
    const { signal } = opening;
    const session = await openClientSession({
      ...{ stream, policy, role, attester, clock, random, signal },
    });
    return { session };
  } catch (error) {
    if (error instanceof RatlsError && error.code === "not-accepted") return { problem: "turned-away" };
    // Without evidence of its own it has asked nobody whether that is good enough.
    const isAbsent =
      error instanceof ChannelError || (error instanceof RatlsError && unreachable.has(error.code));
    return { problem: isAbsent ? "unreachable" : "refused" };
  } finally {
    clearTimeout(timer);
  }
}
