// The attesting end of an attested session: handshake, evidence for it, between nodes the client's evidence too, one
// request, one answer (spec/attested-session.md).
import type { Duplex } from "node:stream";
import { createSecureContext, TLSSocket } from "node:tls";
import { serializeEvidenceBundle, type TrustPolicy, type VerifiedNode } from "@sotto/attestation";
import { type Bytes, type Clock, encodeUtf8, type Random } from "@sotto/base";
import { bindChannel, createAttestRequest } from "./attest-request.ts";
import { createSessionCertificate } from "./certificate.node.ts";
import type { SecureChannel } from "./channel.ts";
import { type SessionAttester, verifyEvidence } from "./evidence.ts";
import { frameType } from "./frame.ts";
import { FrameStream } from "./frame-stream.ts";
import { checkNegotiated, createNodeChannel } from "./node-channel.node.ts";
import { alpnOf, clientRole, limits, type MutualRole, offeredGroups } from "./profile.ts";
import { RatlsError } from "./ratls-error.ts";
import { createServerAnswer, type ServerAnswer } from "./server-answer.node.ts";
import { tlsProfile } from "./tls-profile.node.ts";
import { toldCode } from "./told-error.ts";

type CommonOptions = {
  /**
   * Carries the TLS bytes; belongs to the session from now on. Not a socket, where somebody unknown is at its other end:
   * TLS would read it where nobody sees how much comes.
   */
  readonly stream: Duplex;
  /** Asked again whenever the client wants fresh evidence during a long answer. */
  readonly attester: SessionAttester;
  readonly random: Random;
  /** For the certificate's validity, and to judge clients by; the system's unless given. */
  readonly clock?: Clock;
  /** Offer X25519 without its post-quantum half as well, default false. */
  readonly allowClassical?: boolean;
  /**
   * Called whenever everything that this end has to say for now has been written to the stream: after each piece of
   * the peer's handshake, after the evidence, after the answer with its close. For streams that are not sockets.
   */
  readonly onFlight?: () => void;
  /** Ends the session at any time. */
  readonly signal?: AbortSignal;
};

/** What this end is; predictors and guards serve orchestrators that pass their policy, and nobody else. */
export type ServerSessionOptions = CommonOptions &
  (
    | { readonly role: "orchestrator"; readonly clientPolicy?: never }
    | { readonly role: MutualRole; readonly clientPolicy: TrustPolicy }
  );

/** A session that has attested. */
export type ServerSession = {
  /** Who asks, verified; undefined where anybody may. */
  readonly client: VerifiedNode | undefined;
  /** The one request, whole. */
  readonly request: Promise<Bytes>;
  readonly respond: () => ServerAnswer;
  readonly close: () => void;
};

/**
 * Accepts a session and attests it; between nodes resolves only with a verified client. Throws `RatlsError`, what the
 * attester threw, or the `AttestationError` of a client that was refused, which is told nothing.
 */
export async function acceptServerSession(options: ServerSessionOptions): Promise<ServerSession> {
  const { stream, role, random, onFlight, signal, clock = Date.now } = options;
  const { key, certificate, spkiDigest } = createSessionCertificate(clock(), random);
  const ecdhCurve = offeredGroups(options.allowClassical === true).join(":");
  const alpn = alpnOf[role];
  const socket = new TLSSocket(stream, {
    isServer: true,
    secureContext: createSecureContext({ ...tlsProfile, ecdhCurve, cert: certificate, key }),
    ALPNProtocols: [alpn],
  });
  const channel = createNodeChannel(socket, stream, () => checkNegotiated(socket, alpn));
  const frames = new FrameStream(channel, () => frames.expect([frameType.attestRequest]));
  const abort = (): void => frames.fail(new RatlsError("aborted", "session was aborted"));
  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted === true) abort();
  socket.once("close", () => signal?.removeEventListener("abort", abort));
  if (onFlight !== undefined) {
    // TLS listens to the stream already: by now it has taken the piece in and written what it says to that.
    stream.on("data", () => {
      if (frames.isWaiting) onFlight();
    });
  }
  const makeEvidence = async (request: Bytes): Promise<Bytes> => {
    const binding = bindChannel(channel, { end: "server", role }, spkiDigest, request);
    return serializeEvidenceBundle(await options.attester.attest(binding));
  };
  try {
    const { content: asked } = await frames.read();
    const evidence = await evidenceOrTold(frames, makeEvidence, asked, onFlight);
    const client = await greet(channel, frames, spkiDigest, evidence, { ...options, clock });
    onFlight?.();
    return createSession(channel, frames, client, makeEvidence, onFlight);
  } catch (error) {
    channel.destroy();
    stream.destroy();
    throw error;
  }
}

/** The evidence, or a last frame that says that there is none. */
async function evidenceOrTold(
  frames: FrameStream,
  makeEvidence: (request: Bytes) => Promise<Bytes>,
  request: Bytes,
  onFlight: (() => void) | undefined,
): Promise<Bytes> {
  try {
    return await frames.whileOpen(makeEvidence(request));
  } catch (error) {
    await frames.end(frameType.error, encodeUtf8(toldCode(error)), limits.last);
    onFlight?.();
    throw error;
  }
}

/** Shows the evidence, and between nodes wants the client's; from then on the request may come. */
async function greet(
  channel: SecureChannel,
  frames: FrameStream,
  spkiDigest: Bytes,
  evidence: Bytes,
  { clientPolicy, clock, random }: ServerSessionOptions & { readonly clock: Clock },
): Promise<VerifiedNode | undefined> {
  if (clientPolicy === undefined) {
    frames.expect([frameType.request]);
    await frames.write(frameType.attestResponse, evidence);
    return undefined;
  }
  const attesting = { end: "client", role: clientRole } as const;
  const { request, binding } = createAttestRequest(channel, attesting, spkiDigest, random);
  frames.expect([frameType.attestResponse]);
  frames.send(frameType.attestResponse, evidence, undefined);
  frames.send(frameType.attestRequest, request, undefined);
  const { content } = await frames.read();
  const expectation = { binding, policy: clientPolicy, nowMs: clock(), mayHavePeers: false };
  try {
    const { node } = await verifyEvidence(content, expectation);
    frames.expect([frameType.request]);
    await frames.write(frameType.accepted, new Uint8Array());
    return node;
  } catch (error) {
    // That, and not why: else it could not tell being refused from a connection that broke.
    if (frames.isOpen) await frames.end(frameType.error, encodeUtf8("not-accepted"), limits.last);
    throw error;
  }
}

function createSession(
  channel: SecureChannel,
  frames: FrameStream,
  client: VerifiedNode | undefined,
  makeEvidence: (request: Bytes) => Promise<Bytes>,
  onFlight: (() => void) | undefined,
): ServerSession {
  const { answer, serveAttests } = createServerAnswer({ frames, makeEvidence, onFlight });
  const request = frames.read().then(({ content }) => {
    serveAttests();
    return content;
  });
  request.catch(() => {}); // the caller may look at it later, or never
  return { client, request, respond: () => answer, close: channel.destroy };
}
