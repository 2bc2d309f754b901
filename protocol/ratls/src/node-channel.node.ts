// A channel over Node's own TLS, at either end.
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { type Bytes, copyBytes } from "@sotto/base";
import type { ChannelHandlers, SecureChannel } from "./channel.ts";
import { endlessHandshake, RatlsError, recordFailure, truncation } from "./ratls-error.ts";
import { handshakeError, recordError } from "./tls-failure.node.ts";

// What a peer may send that brings no data: a handshake is some two thousand bytes, and OpenSSL would go on for ever.
const maxIdleBytes = 64 * 1024;

/** Wires a channel over a socket that is about to shake hands over `below`; `check` throws when it did so in another way. */
export function createNodeChannel(socket: TLSSocket, below: Duplex, check: () => void): SecureChannel {
  const listen = ({ secure, data, fail }: ChannelHandlers): void => {
    let isSecure = false;
    const broken = (cause?: Error): void => fail(isSecure ? recordError(cause) : handshakeError(cause));
    socket.once("secure", () => {
      // What is found wrong from here on is not the handshake's failure.
      isSecure = true;
      try {
        check();
        secure();
      } catch (error) {
        fail(error instanceof Error ? error : new RatlsError("handshake-failed", "tls handshake refused"));
      }
    });
    socket.on("session", () => fail(new RatlsError("session-ticket", "peer sent a session ticket")));
    let idleBytes = 0;
    socket.on("data", (bytes: Buffer) => {
      idleBytes = 0;
      data(bytes);
    });
    // Before TLS takes the piece in, so that what came of the earlier ones is known.
    below.prependListener("data", (bytes: Buffer) => {
      if (idleBytes > maxIdleBytes && !socket.isPaused())
        fail(isSecure ? recordFailure() : endlessHandshake());
      idleBytes += bytes.length;
    });
    socket.on("end", () => broken());
    socket.on("close", () => broken());
    socket.on("error", (cause) => broken(cause));
  };
  return {
    handle: listen,
    write: (bytes) =>
      new Promise((resolve, reject) => {
        socket.write(bytes, (error) => (error ? reject(recordError(error)) : resolve()));
      }),
    end: (bytes) =>
      new Promise((resolve) => {
        socket.once("close", resolve);
        socket.end(bytes, () => resolve());
      }),
    // What TLS has read by then is bounded; below it nothing more is read.
    pause: () => {
      socket.pause();
      below.pause();
    },
    resume: () => {
      below.resume();
      socket.resume();
    },
    isPaused: () => socket.isPaused(),
    destroy: () => void socket.destroy(),
    isDestroyed: () => socket.destroyed,
    exportKeyingMaterial: (label, context, length) => exportKeyingMaterial(socket, label, context, length),
  };
}

function exportKeyingMaterial(socket: TLSSocket, label: string, context: Bytes, length: number): Bytes {
  if (socket.destroyed) throw truncation(true);
  return copyBytes(socket.exportKeyingMaterial(length, label, Buffer.from(context)));
}

/** Checks what both ends insist on (RFC 8446); throws `RatlsError`. */
export function checkNegotiated(socket: TLSSocket, alpn: string): void {
  if (socket.getProtocol() !== "TLSv1.3") throw new RatlsError("tls-version", "peer does not speak tls 1.3");
  if (socket.isSessionReused()) throw new RatlsError("resumed", "peer resumed a session");
  if (socket.alpnProtocol !== alpn) {
    throw new RatlsError("wrong-protocol", "peer does not speak this protocol");
  }
}
