// The one request of a session and its answer, during which the server attests anew when that has become due. Between
// nodes it is the client too that asks again: what it sends is the text.
import type { SessionBinding, TrustPolicy } from "@sotto/attestation";
import type { Bytes, Clock, Random } from "@sotto/base";
import { createAttestRequest } from "./attest-request.ts";
import type { SecureChannel } from "./channel.ts";
import { requireSameNode, type VerifiedEvidence, verifyEvidence } from "./evidence.ts";
import { frameType } from "./frame.ts";
import type { FrameStream } from "./frame-stream.ts";
import type { SessionRole } from "./profile.ts";
import { RatlsError } from "./ratls-error.ts";
import { Reattestation, type ReattestInterval } from "./reattestation.ts";
import { peerError } from "./told-error.ts";

export type ClientRequestOptions = {
  readonly channel: SecureChannel;
  readonly frames: FrameStream;
  /** The server as it was verified at first. */
  readonly server: {
    readonly role: SessionRole;
    readonly spkiDigest: Bytes;
    readonly verified: VerifiedEvidence;
    readonly attestedAt: number;
  };
  readonly close: () => void;
  readonly reattest: ReattestInterval;
  readonly policy: TrustPolicy;
  readonly clock: Clock;
  readonly random: Random;
  readonly onFlight: (() => void) | undefined;
};

export type ClientRequest = {
  /** Sends it, once, and gives the pieces of its answer. */
  readonly request: (
    content: Bytes,
    options?: { readonly padTo?: number },
  ) => AsyncGenerator<Bytes, void, undefined>;
  readonly isUsed: () => boolean;
};

const answerTypes = [frameType.response, frameType.end, frameType.error] as const;

/** Wires the request of an open session. */
export function createClientRequest(options: ClientRequestOptions): ClientRequest {
  const { frames, close, onFlight } = options;
  let used = false;
  async function* request(content: Bytes, { padTo }: { readonly padTo?: number } = {}) {
    if (used) throw new RatlsError("out-of-order", "session has had its request");
    used = true;
    try {
      frames.expect(answerTypes);
      // Not awaited: the answer may begin before the last byte of the question has left.
      frames.send(frameType.request, content, onFlight, padTo);
      yield* readAnswer(options);
      // That the stream is over by now is as it should be; that it went on is not.
      const { failure } = frames;
      if (failure instanceof RatlsError && failure.code !== "truncated") throw failure;
    } finally {
      close();
    }
  }
  return { request, isUsed: () => used };
}

/** The pieces of the answer, as far as they come from the node that was verified. */
async function* readAnswer(options: ClientRequestOptions) {
  const { frames, server, reattest, policy, clock } = options;
  const again = new Reattestation(reattest, server.attestedAt);
  const mayHavePeers = server.role === "orchestrator";
  let binding: SessionBinding | undefined;
  for (;;) {
    const since = clock();
    const { type, content } = await frames.read();
    const now = clock();
    again.wait(now - since, now);
    if (type === frameType.error) throw peerError(content);
    if (type === frameType.end) {
      if (content.length > 0) throw new RatlsError("malformed", "end: has content");
      return;
    }
    if (type === frameType.attestResponse) {
      if (binding === undefined) throw new RatlsError("out-of-order", "evidence that was not asked for");
      const verified = await verifyEvidence(content, { binding, policy, nowMs: now, mayHavePeers });
      requireSameNode(server.verified, verified);
      again.settle(clock());
      continue;
    }
    // Whoever has closed has said all there is, and can't be asked any more.
    if (again.receive(content.length, now) && frames.isOpen) {
      binding = askAgain(options);
      again.ask(now);
    }
    if (content.length > 0) yield content;
  }
}

/** Asks for evidence over a new nonce, and returns the channel that it must be about. */
function askAgain({ channel, frames, server, random, onFlight }: ClientRequestOptions): SessionBinding {
  const attesting = { end: "server", role: server.role } as const;
  const { request, binding } = createAttestRequest(channel, attesting, server.spkiDigest, random);
  frames.alsoExpect(frameType.attestResponse);
  frames.send(frameType.attestRequest, request, onFlight);
  return binding;
}
