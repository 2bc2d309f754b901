// The verifying end of an attested session: handshake, attest, verdict, then one request (spec/attested-session.md).
import type { Duplex } from "node:stream";
import { connect, type TLSSocket } from "node:tls";
import {
  type PeerEvidence,
  parseEvidenceBundle,
  type SessionBinding,
  type TrustPolicy,
  type VerifiedNode,
  verifyNode,
} from "@sotto/attestation";
import { type Bytes, type Clock, copyBytes, decodeUtf8, type Random, sha256 } from "@sotto/base";
import { verifySessionCertificate } from "./certificate.ts";
import { type Frame, frameType } from "./frame.ts";
import { FrameStream } from "./frame-stream.ts";
import {
  alpn,
  classicalGroup,
  exporterLabel,
  exporterLength,
  hybridGroup,
  nonceLength,
  serializeAttestRequest,
  tlsProfile,
} from "./profile.ts";
import { RatlsError } from "./ratls-error.ts";

export type ClientSessionOptions = {
  readonly stream: Duplex;
  readonly policy: TrustPolicy;
  readonly role: SessionBinding["role"];
  readonly clock: Clock;
  readonly random: Random;
  /** Accept X25519 without its post-quantum half, default false. */
  readonly allowClassical?: boolean;
  /** Called each time the attest request, and later the request, has been handed to the stream whole. */
  readonly onFlight?: () => void;
  readonly signal?: AbortSignal;
};

/** A session with a node that passed; good for one request. */
export type ClientSession = {
  readonly node: VerifiedNode;
  /** What was verified, to be shown to others. */
  readonly evidence: PeerEvidence;
  /**
   * Sends the request, padded to `padTo` bytes, and gives the pieces of its answer as they come.
   * Throws `RatlsError`: `truncated` when the answer does not come to its end.
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
  options.signal?.throwIfAborted();
  const socket = connect({
    ...tlsProfile,
    socket: options.stream,
    ecdhCurve: options.allowClassical === true ? `${hybridGroup}:${classicalGroup}` : hybridGroup,
    ALPNProtocols: [alpn],
    servername: "",
    // The certificate is judged by its evidence, and by us below, not by the web's authorities.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
  const frames = new FrameStream(socket);
  socket.on("session", () => frames.fail(new RatlsError("session-ticket", "peer sent a session ticket")));
  const abort = (): void => frames.fail(new RatlsError("aborted", "session was aborted"));
  options.signal?.addEventListener("abort", abort, { once: true });
  try {
    const { first } = await handshake(socket, frames);
    const spkiDigest = checkHandshake(socket, options);
    const { evidence, node } = await attest(socket, frames, first, spkiDigest, options);
    options.signal?.removeEventListener("abort", abort);
    return wire(socket, frames, { evidence, node }, options.onFlight);
  } catch (error) {
    options.signal?.removeEventListener("abort", abort);
    socket.destroy();
    options.stream.destroy();
    throw error;
  }
}

/** Resolves with the read that watched over the handshake, and that gets the first frame. */
function handshake(socket: TLSSocket, frames: FrameStream): Promise<{ first: Promise<Frame | undefined> }> {
  return new Promise((resolve, reject) => {
    const broken = (cause?: unknown): void => {
      reject(new RatlsError("handshake-failed", "tls handshake failed", { cause }));
    };
    const first = frames.read();
    // A failure that was noticed in the stream explains more than that the socket closed.
    first.then(
      () => reject(new RatlsError("out-of-order", "peer spoke before it was asked")),
      (error: Error) =>
        error instanceof RatlsError && error.code !== "truncated" ? reject(error) : broken(error),
    );
    socket.once("secureConnect", () => resolve({ first }));
  });
}

function checkHandshake(socket: TLSSocket, options: ClientSessionOptions): Bytes {
  if (socket.getProtocol() !== "TLSv1.3") throw new RatlsError("handshake-failed", "not tls 1.3");
  if (socket.isSessionReused()) throw new RatlsError("resumed", "peer resumed a session");
  if (socket.alpnProtocol !== alpn)
    throw new RatlsError("wrong-protocol", "peer does not speak this protocol");
  const group = socket.getEphemeralKeyInfo();
  const name = group !== null && "name" in group ? group.name : undefined;
  if (name !== hybridGroup && options.allowClassical !== true) {
    throw new RatlsError("classical-downgrade", "key exchange has no post-quantum half");
  }
  return verifySessionCertificate(socket.getPeerX509Certificate()?.raw, options.clock());
}

async function attest(
  socket: TLSSocket,
  frames: FrameStream,
  first: Promise<Frame | undefined>,
  spkiDigest: Bytes,
  options: ClientSessionOptions,
) {
  const nonce = options.random(nonceLength);
  const request = serializeAttestRequest(nonce);
  const requestDigest = sha256(request);
  const exporter = exportKey(socket, requestDigest);
  const binding: SessionBinding = { role: options.role, spkiDigest, nonce, exporter, requestDigest };
  await frames.write(frameType.attestRequest, request);
  options.onFlight?.();
  const frame = await first;
  if (frame === undefined) throw new RatlsError("truncated", "peer closed instead of attesting");
  if (frame.type === frameType.error) throw peerError(frame.content);
  if (frame.type !== frameType.attestResponse) throw new RatlsError("out-of-order", "peer did not attest");
  const bundle = parseEvidenceBundle(frame.content);
  const node = await verifyNode({ bundle, binding, policy: options.policy, nowMs: options.clock() });
  return { node, evidence: { binding, bundle } };
}

function wire(
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
    // Not awaited: the answer may begin before the last byte of the question has left.
    const sent = frames.write(frameType.request, content, options.padTo);
    sent.then(onFlight, (error: Error) => frames.fail(error));
    try {
      for (;;) {
        const frame = await frames.read();
        if (frame === undefined) throw new RatlsError("truncated", "answer broke off");
        if (frame.type === frameType.end) return;
        if (frame.type === frameType.error) throw peerError(frame.content);
        if (frame.type !== frameType.response)
          throw new RatlsError("out-of-order", "peer broke the order of messages");
        yield frame.content;
      }
    } finally {
      close();
    }
  }
  return { node, evidence, request, isOpen: () => !used && frames.isOpen, close };
}

/** This end's own exporter value over the attest request (RFC 8446 Section 7.5). */
export function exportKey(socket: TLSSocket, requestDigest: Bytes): Bytes {
  return copyBytes(socket.exportKeyingMaterial(exporterLength, exporterLabel, Buffer.from(requestDigest)));
}

function peerError(content: Bytes): RatlsError {
  const code = decodeUtf8(content);
  if (code === "busy") return new RatlsError("busy", "peer is busy");
  if (code === "predictor-refused") {
    return new RatlsError(
      "predictor-refused",
      "the orchestrator found no predictor that runs what was released",
    );
  }
  return new RatlsError("peer-failed", "peer could not serve the session");
}
