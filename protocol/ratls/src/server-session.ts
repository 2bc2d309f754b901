// The attesting end of an attested session: handshake, evidence for it, one request, one answer
// (spec/attested-session.md).
import type { Duplex } from "node:stream";
import { createSecureContext, TLSSocket } from "node:tls";
import { type EvidenceBundle, type SessionBinding, serializeEvidenceBundle } from "@sotto/attestation";
import { type Bytes, type Clock, CodedError, encodeUtf8, type Random } from "@sotto/base";
import { bindChannel } from "./attest-request.ts";
import { createSessionCertificate } from "./certificate.ts";
import { type FrameType, frameType } from "./frame.ts";
import { FrameStream } from "./frame-stream.ts";
import { alpn, answerPadding, limits, offeredGroups, tlsProfile } from "./profile.ts";
import { RatlsError } from "./ratls-error.ts";

/** Makes evidence for one session; must never give one session's evidence to another. */
export type SessionAttester = { readonly attest: (binding: SessionBinding) => Promise<EvidenceBundle> };

export type ServerSessionOptions = {
  /** Carries the TLS bytes; belongs to the session from now on. */
  readonly stream: Duplex;
  readonly role: SessionBinding["role"];
  readonly attester: SessionAttester;
  readonly random: Random;
  /** For the certificate's validity; the system's unless given. */
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

export type ServerAnswer = {
  /** Writes a piece of the answer, of any length; resolves when it has been handed to the stream. */
  readonly write: (chunk: Uint8Array) => Promise<void>;
  readonly end: () => Promise<void>;
  /** Ends the answer as failed; the peer learns a code of lowercase letters, digits and hyphens. */
  readonly fail: (code: string) => Promise<void>;
};

/** A session that has attested. */
export type ServerSession = {
  /** The one request, whole. */
  readonly request: Promise<Bytes>;
  readonly respond: () => ServerAnswer;
  readonly close: () => void;
};

/** Accepts a session and attests it; throws `RatlsError`, or what the attester threw. */
export async function acceptServerSession(options: ServerSessionOptions): Promise<ServerSession> {
  const { stream, random, onFlight, signal, clock = Date.now } = options;
  const { key, certificate, spkiDigest } = createSessionCertificate(clock(), random);
  const ecdhCurve = offeredGroups(options.allowClassical === true);
  const socket = new TLSSocket(stream, {
    isServer: true,
    secureContext: createSecureContext({ ...tlsProfile, ecdhCurve, cert: certificate, key }),
    ALPNProtocols: [alpn],
  });
  const frames = new FrameStream(socket);
  const abort = (): void => frames.fail(new RatlsError("aborted", "session was aborted"));
  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted === true) abort();
  socket.once("close", () => signal?.removeEventListener("abort", abort));
  socket.once("secure", () => {
    const error = checkHandshake(socket);
    if (error === undefined) frames.expect(frameType.attestRequest);
    else frames.fail(error);
  });
  if (onFlight !== undefined) {
    // TLS listens to the stream already: by now it has taken the piece in and written what it says to that.
    stream.on("data", () => {
      if (frames.isWaiting) onFlight();
    });
  }
  try {
    const { content } = await frames.read();
    const binding = bindChannel(socket, options.role, spkiDigest, content);
    const failure = await answerAttest(frames, options.attester, binding);
    onFlight?.();
    if (failure !== undefined) throw failure.error;
    return createSession(socket, frames, onFlight);
  } catch (error) {
    socket.destroy();
    stream.destroy();
    throw error;
  }
}

function checkHandshake(socket: TLSSocket): RatlsError | undefined {
  if (socket.getProtocol() !== "TLSv1.3") return new RatlsError("tls-version", "peer does not speak tls 1.3");
  if (socket.isSessionReused()) return new RatlsError("resumed", "peer resumed a session");
  if (socket.alpnProtocol !== alpn)
    return new RatlsError("wrong-protocol", "peer does not speak this protocol");
  return undefined;
}

const toldCodes: ReadonlySet<string> = new Set(["busy", "predictor-refused", "guard-refused"]);

/** Sends evidence, or says that there is none and returns why. */
async function answerAttest(
  frames: FrameStream,
  attester: SessionAttester,
  binding: SessionBinding,
): Promise<{ readonly error: unknown } | undefined> {
  let evidence: Bytes;
  try {
    evidence = serializeEvidenceBundle(await attester.attest(binding));
  } catch (error) {
    const isTold = error instanceof CodedError && toldCodes.has(error.code);
    await frames.end(frameType.error, encodeUtf8(isTold ? error.code : "attest-failed"), limits.last);
    return { error };
  }
  frames.expect(frameType.request);
  await frames.write(frameType.attestResponse, evidence);
  return undefined;
}

function createSession(
  socket: TLSSocket,
  frames: FrameStream,
  onFlight: (() => void) | undefined,
): ServerSession {
  const request = frames.read().then(({ content }) => content);
  request.catch(() => {}); // the caller may look at it later, or never
  let ended = false;
  const finish = async (type: FrameType, content: Uint8Array): Promise<void> => {
    if (ended) throw new RatlsError("out-of-order", "answer has ended");
    ended = true;
    await frames.end(type, content, limits.last);
    onFlight?.();
  };
  return {
    request,
    respond: () => ({
      write: async (chunk) => {
        if (ended) throw new RatlsError("out-of-order", "answer has ended");
        for (let offset = 0; offset < chunk.length; offset += limits.response) {
          const piece = chunk.subarray(offset, offset + limits.response);
          const padTo = Math.ceil(piece.length / answerPadding) * answerPadding;
          await frames.write(frameType.response, piece, padTo);
        }
      },
      end: () => finish(frameType.end, new Uint8Array()),
      fail: (code) => finish(frameType.error, encodeUtf8(/^[a-z0-9-]{1,64}$/.test(code) ? code : "failed")),
    }),
    close: () => void socket.destroy(),
  };
}
