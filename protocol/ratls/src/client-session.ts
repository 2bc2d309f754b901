// The verifying end of an attested session: handshake, attest, verdict, between nodes the own evidence too, then one
// request (spec/attested-session.md).
import {
  type PeerEvidence,
  type SessionBinding,
  serializeEvidenceBundle,
  type TrustPolicy,
  type VerifiedNode,
} from "@sotto/attestation";
import type { Bytes, Clock, Random } from "@sotto/base";
import { connectChannel, type SessionStream } from "#connect";
import { bindChannel, createAttestRequest } from "./attest-request.ts";
import { type JudgedCertificate, judgeSessionCertificate } from "./certificate.ts";
import type { SecureChannel } from "./channel.ts";
import { createClientRequest } from "./client-request.ts";
import { type SessionAttester, type VerifiedEvidence, verifyEvidence } from "./evidence.ts";
import { frameType } from "./frame.ts";
import { FrameStream } from "./frame-stream.ts";
import { alpnOf, clientRole, defaultReattest, type MutualRole } from "./profile.ts";
import { RatlsError } from "./ratls-error.ts";
import type { ReattestInterval } from "./reattestation.ts";
import { peerError } from "./told-error.ts";

type CommonOptions = {
  /** Carries the TLS bytes; belongs to the session from now on, and is destroyed with it. */
  readonly stream: SessionStream;
  readonly policy: TrustPolicy;
  readonly clock: Clock;
  readonly random: Random;
  /** How often the server must attest anew while it answers; every 5 minutes and 16 MiB unless given. */
  readonly reattest?: ReattestInterval;
  /**
   * Called each time an attest request, and when the request, has been handed to the stream whole. One of a long answer
   * comes while that is still on its way.
   */
  readonly onFlight?: () => void;
  /** Ends the opening of the session, not the session once it is open. */
  readonly signal?: AbortSignal;
};

/** Who the server must be; predictors and guards want to know who asks as well. */
export type ClientSessionOptions = CommonOptions &
  (
    | { readonly role: "orchestrator"; readonly attester?: never }
    | {
        readonly role: MutualRole;
        /** Makes this end's own evidence, once the server's has been verified; it may not have peers. */
        readonly attester: SessionAttester;
      }
  );

/** A session with a node that passed; good for one request. */
export type ClientSession = {
  readonly node: VerifiedNode;
  /** What was verified, to be shown to others. */
  readonly evidence: PeerEvidence;
  /**
   * Sends the request, padded to `padTo` bytes, and gives the pieces of its answer as they come.
   *
   * Throws `RatlsError`: `truncated` when the answer does not come to its end, `peer-failed` when it ends as failed,
   * `reattestation-missing` or `reattestation-mismatch` when a long one comes from who does not attest anew as it must;
   * or the `AttestationError` of evidence that was refused then. What came before was from the node that was verified.
   */
  readonly request: (
    content: Bytes,
    options?: { readonly padTo?: number },
  ) => AsyncGenerator<Bytes, void, undefined>;
  readonly isOpen: () => boolean;
  readonly close: () => void;
};

/** What the client has said: over which channel, and what for. */
type Asked = { readonly certificate: JudgedCertificate; readonly binding: SessionBinding };

/** Opens a session; resolves only with a verified node. Throws `RatlsError`, `AttestationError`, or what the attester threw. */
export async function openClientSession(options: ClientSessionOptions): Promise<ClientSession> {
  const { stream, role, clock, random, signal, onFlight } = options;
  let judged: JudgedCertificate | undefined;
  const channel = connectChannel(stream, {
    alpn: alpnOf[role],
    allowClassical: options.policy.allowClassical === true,
    random,
    judgeCertificate: (der) => {
      judged = judgeSessionCertificate(der, clock());
      return judged.spki;
    },
  });
  const asked = Promise.withResolvers<Asked>();
  // Within the event and not after it, so that Finished and the attest request leave as one flight.
  const frames = new FrameStream(channel, () => {
    if (judged === undefined) throw new RatlsError("bad-certificate", "session certificate: missing");
    const { spkiDigest } = judged;
    const { request, binding } = createAttestRequest(channel, { end: "server", role }, spkiDigest, random);
    const following = options.attester === undefined ? [] : [frameType.attestRequest];
    frames.expect([frameType.attestResponse, frameType.error], following);
    frames.send(frameType.attestRequest, request, onFlight);
    asked.resolve({ certificate: judged, binding });
  });
  const abort = (): void => frames.fail(new RatlsError("aborted", "session was aborted"));
  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted === true) abort();
  try {
    const { verified, spkiDigest } = await meet(frames, asked.promise, options);
    const attestedAt = clock();
    if (options.attester !== undefined) await introduce(channel, frames, spkiDigest, options.attester);
    if (frames.failure !== undefined) throw frames.failure;
    const { reattest = defaultReattest, policy } = options;
    const server = { role, spkiDigest, verified, attestedAt };
    const again = { reattest, policy, clock, random, onFlight };
    const close = (): void => channel.destroy();
    const { request, isUsed } = createClientRequest({ channel, frames, server, close, ...again });
    return { ...verified, request, isOpen: () => !isUsed() && frames.isOpen, close };
  } catch (error) {
    channel.destroy();
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** Resolves with the server, once its evidence for this channel has been verified. */
async function meet(
  frames: FrameStream,
  asked: Promise<Asked>,
  { policy, clock, attester }: ClientSessionOptions,
): Promise<{ readonly verified: VerifiedEvidence; readonly spkiDigest: Bytes }> {
  // Watches over the handshake as well: nothing is expected before the question has been put.
  const frame = await frames.read();
  if (frame.type === frameType.error) throw peerError(frame.content);
  const { certificate, binding } = await asked;
  await certificate.verifySelfSignature();
  const expectation = { binding, policy, nowMs: clock(), mayHavePeers: attester === undefined };
  const verified = await verifyEvidence(frame.content, expectation);
  if (attester === undefined) requirePredictor(verified);
  return { verified, spkiDigest: certificate.spkiDigest };
}

/** An orchestrator without a predictor that was verified here has nobody whom a question may go to. */
function requirePredictor({ node }: VerifiedEvidence): void {
  if (!node.peers.some(({ role }) => role === "predictor"))
    throw new RatlsError("predictor-refused", "the orchestrator shows no predictor that it would ask");
}

/** Shows the server this end's own evidence; resolves when it has been accepted. */
async function introduce(
  channel: SecureChannel,
  frames: FrameStream,
  spkiDigest: Bytes,
  attester: SessionAttester,
): Promise<void> {
  const { content: request } = await frames.read();
  const binding = bindChannel(channel, { end: "client", role: clientRole }, spkiDigest, request);
  const evidence = serializeEvidenceBundle(await frames.whileOpen(attester.attest(binding)));
  frames.expect([frameType.accepted, frameType.error]);
  // Not awaited: what the server says to it may come first, and the end of the connection with it.
  frames.send(frameType.attestResponse, evidence, undefined);
  const { type, content } = await frames.read();
  if (type === frameType.error) throw peerError(content);
}
