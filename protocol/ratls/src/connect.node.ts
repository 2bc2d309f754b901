// The client's end of TLS where Node brings it.
import { Duplex } from "node:stream";
import { connect, createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { copyBytes } from "@sotto/base";
import { byteStreamOf } from "./byte-stream.node.ts";
import type { ByteStream, ConnectOptions, SecureChannel } from "./channel.ts";
import { checkNegotiated, createNodeChannel } from "./node-channel.node.ts";
import { hybridGroup, offeredGroups } from "./profile.ts";
import { handshakeFailure, RatlsError } from "./ratls-error.ts";
import { tlsProfile } from "./tls-profile.node.ts";

/** What can carry a session's TLS here. */
export type SessionStream = Duplex | ByteStream;

/** Begins a handshake over a stream, which belongs to the channel from now on. */
export function connectChannel(stream: SessionStream, options: ConnectOptions): SecureChannel {
  // Sockets too: TLS would read them where nobody sees how much.
  const below = new StreamOfBytes(stream instanceof Duplex ? byteStreamOf(stream) : stream);
  const socket = connect({
    socket: below,
    secureContext: clientContext(options.allowClassical),
    ALPNProtocols: [options.alpn],
    servername: "",
    // The certificate is judged by its evidence, and by who asked for this, not by the web's authorities.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
  const channel = createNodeChannel(socket, below, () => {
    // OpenSSL says hello again when it is asked to; whatever for, this profile leaves no reason.
    if (below.clearMessages > 1) throw handshakeFailure("classical-downgrade");
    check(socket, options);
  });
  const destroy = (): void => {
    channel.destroy();
    below.destroy();
  };
  return { ...channel, destroy };
}

const contexts = new Map<boolean, SecureContext>();

// Holds no key and no session, so all sessions of a process can have the same.
function clientContext(allowClassical: boolean): SecureContext {
  let context = contexts.get(allowClassical);
  if (context === undefined) {
    context = createSecureContext({ ...tlsProfile, ecdhCurve: shareEach(offeredGroups(allowClassical)) });
    contexts.set(allowClassical, context);
  }
  return context;
}

/** A list for OpenSSL, with a share for every group, as the other client has it. */
function shareEach(groups: readonly string[]): string {
  return groups.map((group) => `*${group}`).join(":");
}

function check(socket: TLSSocket, { alpn, allowClassical, judgeCertificate }: ConnectOptions): void {
  checkNegotiated(socket, alpn);
  const group = socket.getEphemeralKeyInfo();
  const name = group !== null && "name" in group ? group.name : undefined;
  if (name !== hybridGroup && !allowClassical) throw handshakeFailure("classical-downgrade");
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw new RatlsError("bad-certificate", "session certificate: missing");
  judgeCertificate(copyBytes(certificate.raw));
}

/** A stream of bytes as Node's TLS takes it. */
class StreamOfBytes extends Duplex {
  readonly #stream: ByteStream;
  /** Records of handshake messages that went out unprotected: the ClientHello is one. */
  clearMessages = 0;

  constructor(stream: ByteStream) {
    super();
    this.#stream = stream;
    // Whoever carries the session hears of it through its TLS.
    this.on("error", () => {});
  }

  override _read(): void {
    this.#stream.read().then(
      (bytes) => void this.push(bytes ?? null),
      (error: unknown) => void this.destroy(asError(error)),
    );
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error) => void): void {
    this.clearMessages += countClear(chunk);
    this.#stream.write(copyBytes(chunk)).then(
      () => callback(),
      (error: unknown) => callback(asError(error)),
    );
  }

  override _final(callback: () => void): void {
    this.#stream.end();
    callback();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#stream.destroy();
    callback(error);
  }
}

/** How many of these records, which are whole, are handshake messages in the clear (RFC 8446 Section 5.1). */
function countClear(records: Buffer): number {
  const handshake = 22;
  const headLength = 5;
  let count = 0;
  for (let at = 0; at + headLength <= records.length; at += headLength + records.readUInt16BE(at + 3)) {
    if (records[at] === handshake) count += 1;
  }
  return count;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error("stream broke");
}
