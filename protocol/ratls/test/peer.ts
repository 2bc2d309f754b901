// Peers that do what ours never would: TLS ends that send any bytes, over a link in memory.
import type { Duplex } from "node:stream";
import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  type SecureContextOptions,
  TLSSocket,
} from "node:tls";
import { systemRandom } from "@sotto/base";
import { createSessionCertificate, type SessionCertificate } from "../src/certificate.ts";
import type { FrameType } from "../src/frame.ts";

/** `u8 type || u32 content length || u32 padding length || content || padding`, without any check. */
export function rawFrame(
  type: FrameType | number,
  content: Uint8Array,
  padding: Uint8Array = new Uint8Array(),
) {
  const head = Buffer.alloc(9);
  head.writeUInt8(type, 0);
  head.writeUInt32BE(content.length, 1);
  head.writeUInt32BE(padding.length, 5);
  return Buffer.concat([head, content, padding]);
}

export const goodCertificate = (): SessionCertificate => createSessionCertificate(Date.now(), systemRandom);

/** A client that says what the profile asks for, except where told otherwise. */
export function rawClient(stream: Duplex, options: ConnectionOptions = {}): TLSSocket {
  const socket = connect({
    socket: stream,
    rejectUnauthorized: false,
    ALPNProtocols: ["sotto/1"],
    servername: "",
    ...options,
  });
  return socket.on("error", () => {}).on("data", () => {});
}

/** A server that does what the profile asks for, except where told otherwise. */
export function rawServer(
  stream: Duplex,
  {
    ALPNProtocols = ["sotto/1"],
    ...context
  }: SecureContextOptions & { readonly ALPNProtocols?: string[] } = {},
): TLSSocket {
  const { key, certificate } = goodCertificate();
  const socket = new TLSSocket(stream, {
    isServer: true,
    secureContext: createSecureContext({ key, cert: certificate, ecdhCurve: "X25519MLKEM768", ...context }),
    ALPNProtocols,
  });
  return socket.on("error", () => {}).on("data", () => {});
}
