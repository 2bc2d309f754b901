// The verifying end of an attested session: handshake, attest, verdict, then one request (spec/attested-session.md).
import type { Duplex } from "node:stream";
import { connect, createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import {
  type PeerEvidence,
  parseEvidenceBundle,
  type SessionBinding,
  type TrustPolicy,
  type VerifiedNode,
  verifyNode,
} from "@sotto/attestation";
import type { Bytes, Clock, Random } from "@sotto/base";
import { bindChannel, serializeAttestRequest } from "./attest-request.ts";
import { verifySessionCertificate } from "./certificate.ts";
import { type Frame, frameType } from "./frame.ts";
import { FrameStream } from "./frame-stream.ts";
import { alpn, hybridGroup, nonceLength, offeredGroups, tlsProfile } from "./profile.ts";
import { RatlsError, type RatlsErrorCode } from "./ratls-error.ts";

export type ClientSessionOptions = {
  /** Carries the TLS bytes; belongs to the session from now on, and is destroyed with it. */
  readonly stream: Duplex;
  readonly policy: TrustPolicy;
  readonly role: SessionBinding["role"];
  readonly clock: Clock;
  readonly random: Random;
  /** Accept X25519 without its post-quantum half, default false. */
  readonly allowClassical?: boolean;
  /** Called each time the attest request, and later the request, has been handed to the stream whole. */
  readonly onFlight?: () => void;
  /** Ends the opening of the session, not the session once it is open. */
  readonly signal?: AbortSignal;
};

/** A session with a node that passed; good for one request. */
export type ClientSession = {
  readonly node: VerifiedNode;
  /** What was verified, to be shown to others. */
  readonly evidence: PeerEvidence;
  /**
   * Sends the request, padded to `padTo` bytes, and gives the pieces of its answer as they come.
   *
   * Throws `RatlsError`: `truncated` when the answer does not come to its end, `peer-failed` when it ends as failed.
   */
  readonly request: (
    content: Bytes,
    options?: { readonly padTo?: number },
  ) => AsyncGenerator<Bytes, void, undefined>;
  readonly isOpen: () => boolean;
  readonly close: () => void;
};

/** Opens a session; resolves only with a verified node. Throws `RatlsError` or `AttestationError`. */
export async function openClientSession(options: ClientSessionOptions): Promise<ClientSession> {
  const { stream, signal } = options;
  const socket = connect({
    socket: stream,
    secureContext: clientContext(options.allowClassical === true),
    ALPNProtocols: [alpn],
    servername: "",
    // The certificate is judged by its evidence, and by us below, not by the web's authorities.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
  const frames = new FrameStream(socket);
  socket.on("session", () => frames.fail(new RatlsError("session-ticket", "peer sent a session ticket")));
  const abort = (): void => frames.fail(new RatlsError("aborted", "session was aborted"));
  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted === true) abort();
  try {
    const evidence = await attest(socket, frames, options);
    const { policy, clock } = options;
    const node = await verifyNode({ ...evidence, policy, nowMs: clock() });
    if (frames.failure !== undefined) throw frames.failure;
    return createSession(socket, frames, { evidence, node }, options.onFlight);
  } catch (error) {
    socket.destroy();
    stream.destroy();
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

const contexts = new Map<boolean, SecureContext>();

// Holds no key and no session, so all sessions of a process can have the same.
function clientContext(allowClassical: boolean): SecureContext {
  let context = contexts.get(allowClassical);
  if (context === undefined) {
    context = createSecureContext({ ...tlsProfile, ecdhCurve: offeredGroups(allowClassical) });
    contexts.set(allowClassical, context);
  }
  return context;
}

/** Resolves with the peer's evidence for the channel as this end sees it. */
async function attest(
  socket: TLSSocket,
  frames: FrameStream,
  options: ClientSessionOptions,
): Promise<PeerEvidence> {
  const asked = new Promise<SessionBinding>((resolve) => {
    // Within the event and not after it, so that Finished and the attest request leave as one flight.
    socket.once("secureConnect", () => {
      try {
        const spkiDigest = checkHandshake(socket, options);
        const request = serializeAttestRequest(options.random(nonceLength));
        const binding = bindChannel(socket, options.role, spkiDigest, request);
        frames.expect(frameType.attestResponse, frameType.error);
        const sent = frames.write(frameType.attestRequest, request);
        sent.then(options.onFlight, (error: Error) => frames.fail(error));
        resolve(binding);
      } catch (error) {
        frames.fail(error instanceof Error ? error : new RatlsError("handshake-failed", "handshake refused"));
      }
    });
  });
  // Watches over the handshake as well: nothing is expected before the question has been put.
  const frame = await frames.read();
  if (frame.type === frameType.error) throw peerError(frame);
  return { binding: await asked, bundle: parseEvidenceBundle(frame.content) };
}

function checkHandshake(socket: TLSSocket, options: ClientSessionOptions): Bytes {
  if (socket.getProtocol() !== "TLSv1.3") throw new RatlsError("tls-version", "peer does not speak tls 1.3");
  if (socket.isSessionReused()) throw new RatlsError("resumed", "peer resumed a session");
  if (socket.alpnProtocol !== alpn) {
    throw new RatlsError("wrong-protocol", "peer does not speak this protocol");
  }
  const group = socket.getEphemeralKeyInfo();
  const name = group !== null && "name" in group ? group.name : undefined;
  if (name !== hybridGroup && options.allowClassical !== true) {
    throw new RatlsError("classical-downgrade", "key exchange has no post-quantum half");
  }
  return verifySessionCertificate(socket.getPeerX509Certificate(), options.clock());
}

function createSession(
  socket: TLSSocket,
  frames: FrameStream,
  { evidence, node }: Pick<ClientSession, "evidence" | "node">,
  onFlight: (() => void) | undefined,
): ClientSession {
  let used = false;
  const close = (): void => {
    socket.destroy();
  };
  async function* request(content: Bytes, options: { readonly padTo?: number } = {}) {
    if (used) throw new RatlsError("out-of-order", "session has had its request");
    used = true;
    try {
      frames.expect(frameType.response, frameType.end, frameType.error);
      // Not awaited: the answer may begin before the last byte of the question has left.
      const sent = frames.write(frameType.request, content, options.padTo);
      sent.then(onFlight, (error: Error) => frames.fail(error));
      for (;;) {
        const frame = await frames.read();
        if (frame.type === frameType.error) throw peerError(frame);
        if (frame.type === frameType.end && frame.content.length === 0) break;
        if (frame.type !== frameType.response) throw new RatlsError("malformed", "end: has content");
        if (frame.content.length > 0) yield frame.content;
      }
      // That the stream is over by now is as it should be; that it went on is not.
      const { failure } = frames;
      if (failure instanceof RatlsError && failure.code !== "truncated") throw failure;
    } finally {
      close();
    }
  }
  return { node, evidence, request, isOpen: () => !used && frames.isOpen, close };
}

const toldErrors: readonly (readonly [code: RatlsErrorCode, message: string])[] = [
  ["busy", "peer is busy"],
  ["predictor-refused", "the orchestrator found no predictor that runs what was released"],
  ["guard-refused", "the orchestrator found no guard that runs what was released"],
];

function peerError(frame: Frame): RatlsError {
  const told = toldErrors.find(([code]) => Buffer.from(code).equals(frame.content));
  return told === undefined
    ? new RatlsError("peer-failed", "peer could not serve the session")
    : new RatlsError(...told);
}
