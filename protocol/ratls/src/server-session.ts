// The attesting end of an attested session: handshake, evidence for it, one request, one answer (spec/attested-session.md).
import type { Duplex } from "node:stream";
import { createSecureContext, TLSSocket } from "node:tls";
import { type EvidenceBundle, type SessionBinding, serializeEvidenceBundle } from "@sotto/attestation";
import { type Bytes, CodedError, encodeUtf8, type Random, sha256 } from "@sotto/base";
import { createSessionCertificate } from "./certificate.ts";
import { exportKey } from "./client-session.ts";
import { type Frame, type FrameType, frameType } from "./frame.ts";
import { FrameStream } from "./frame-stream.ts";
import { alpn, attestVersion, hybridGroup, limits, nonceLength, tlsProfile } from "./profile.ts";
import { RatlsError } from "./ratls-error.ts";

/** Makes evidence for one session; must never give one session's evidence to another. */
export type SessionAttester = { readonly attest: (binding: SessionBinding) => Promise<EvidenceBundle> };

export type ServerSessionOptions = {
  readonly stream: Duplex;
  readonly role: SessionBinding["role"];
  readonly attester: SessionAttester;
  readonly random: Random;
  /** Called when evidence, and later the answer, has been handed to the stream whole. */
  readonly onFlight?: () => void;
  readonly signal?: AbortSignal;
};

export type ServerAnswer = {
  /** Writes a piece of the answer, of any length. */
  readonly write: (chunk: Uint8Array) => Promise<void>;
  readonly end: () => Promise<void>;
  /** Ends the answer as failed; the peer learns a code. */
  readonly fail: (code: string) => Promise<void>;
};

/** A session that has attested. */
export type ServerSession = {
  /** The one request, whole. */
  readonly request: Promise<Bytes>;
  readonly respond: () => ServerAnswer;
  readonly close: () => void;
};

// Sizes of answers show in steps of this many bytes only.
const answerPadding = 256;

/** Accepts a session and attests it; throws `RatlsError`, or what the attester threw. */
export async function acceptServerSession(options: ServerSessionOptions): Promise<ServerSession> {
  const { stream, random, onFlight } = options;
  const { key, certificate, spkiDigest } = createSessionCertificate(Date.now(), random);
  const socket = new TLSSocket(stream, {
    ...tlsProfile,
    isServer: true,
    secureContext: createSecureContext({
      ...tlsProfile,
      ecdhCurve: hybridGroup,
      cert: certificate,
      key: key.export({ type: "pkcs8", format: "pem" }),
    }),
    ecdhCurve: hybridGroup,
    ALPNProtocols: [alpn],
  });
  const frames = new FrameStream(socket);
  const abort = (): void => frames.fail(new RatlsError("aborted", "session was aborted"));
  options.signal?.addEventListener("abort", abort, { once: true });
  try {
    const asked = await frames.read();
    if (socket.alpnProtocol !== alpn)
      throw new RatlsError("wrong-protocol", "peer does not speak this protocol");
    const binding = await bind(socket, spkiDigest, options.role, asked);
    await answerAttest(frames, options, binding);
    onFlight?.();
    return wire(socket, frames, onFlight);
  } catch (error) {
    socket.destroy();
    stream.destroy();
    throw error;
  }
}

async function bind(
  socket: TLSSocket,
  spkiDigest: Bytes,
  role: SessionBinding["role"],
  asked: Frame | undefined,
): Promise<SessionBinding> {
  if (asked === undefined) throw new RatlsError("truncated", "peer closed before it asked");
  const { type, content } = asked;
  if (type !== frameType.attestRequest)
    throw new RatlsError("out-of-order", "peer did not ask for evidence first");
  if (content.length !== limits.attestRequest || content[0] !== attestVersion) {
    throw new RatlsError("malformed", "attest request: not in its form");
  }
  const requestDigest = sha256(content);
  const nonce = content.slice(1, 1 + nonceLength);
  return { role, spkiDigest, nonce, exporter: exportKey(socket, requestDigest), requestDigest };
}

async function answerAttest(
  frames: FrameStream,
  options: ServerSessionOptions,
  binding: SessionBinding,
): Promise<void> {
  let bundle: EvidenceBundle;
  try {
    bundle = await options.attester.attest(binding);
  } catch (error) {
    const known =
      error instanceof CodedError && (error.code === "busy" || error.code === "predictor-refused");
    await frames.write(frameType.error, encodeUtf8(known ? error.code : "attest-failed"));
    options.onFlight?.();
    throw error;
  }
  await frames.write(frameType.attestResponse, serializeEvidenceBundle(bundle));
}

function wire(socket: TLSSocket, frames: FrameStream, onFlight: (() => void) | undefined): ServerSession {
  const request = frames.read().then((frame) => {
    if (frame === undefined) throw new RatlsError("truncated", "peer closed without a request");
    if (frame.type !== frameType.request)
      throw new RatlsError("out-of-order", "peer broke the order of messages");
    // Whatever comes after the one request ends the session.
    frames.read().then(
      (extra) => {
        if (extra !== undefined) frames.fail(new RatlsError("out-of-order", "peer sent a second request"));
      },
      () => {},
    );
    return frame.content;
  });
  request.catch(() => {});
  let ended = false;
  const finish = async (type: FrameType, content: Uint8Array): Promise<void> => {
    if (ended) throw new RatlsError("out-of-order", "answer has ended");
    ended = true;
    await frames.write(type, content);
    await new Promise<void>((resolve) => socket.end(resolve));
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
      fail: (code) => finish(frameType.error, encodeUtf8(code.slice(0, limits.error))),
    }),
    close: () => void socket.destroy(),
  };
}
