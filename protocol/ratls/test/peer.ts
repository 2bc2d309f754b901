// Peers that do what ours never would: TLS ends that send any bytes, over a link in memory.
import type { Duplex } from "node:stream";
import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  type SecureContextOptions,
  TLSSocket,
} from "node:tls";
import { amdRoots, type TrustPolicy } from "@sotto/attestation";
import { type Bytes, concatBytes, systemRandom } from "@sotto/base";
import { createSessionCertificate, type SessionCertificate } from "../src/certificate.node.ts";
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

export type RawFrame = { readonly type: number; readonly content: Bytes };

/** Frames as they come, one at a time, in whatever order; undefined at the end. */
export function frameReader(socket: TLSSocket): () => Promise<RawFrame | undefined> {
  const waiting: ((frame: RawFrame | undefined) => void)[] = [];
  const frames: (RawFrame | undefined)[] = [];
  let buffer: Bytes = new Uint8Array();
  const give = (frame: RawFrame | undefined): void => {
    const waiter = waiting.shift();
    if (waiter === undefined) frames.push(frame);
    else waiter(frame);
  };
  socket.on("data", (bytes: Buffer) => {
    buffer = concatBytes(buffer, bytes);
    while (buffer.length >= 9) {
      const view = new DataView(buffer.buffer);
      const content = view.getUint32(1);
      const end = 9 + content + view.getUint32(5);
      if (buffer.length < end) return;
      give({ type: buffer[0] ?? 0, content: buffer.slice(9, 9 + content) });
      buffer = buffer.slice(end);
    }
  });
  const end = (): void => {
    for (const waiter of waiting.splice(0)) waiter(undefined);
    frames.push(undefined);
  };
  socket.once("end", end).once("close", end);
  return () =>
    new Promise((resolve) => {
      if (frames.length > 0) resolve(frames.shift());
      else waiting.push(resolve);
    });
}

/** Where no evidence is ever judged, no policy is ever met. */
export const unmetPolicy: TrustPolicy = {
  profile: "production",
  roots: amdRoots,
  platform: {
    generations: [],
    minimumTcb: {},
    vmpl: 0,
    allowVlek: false,
    allowSmt: false,
    requireAliasCheck: true,
  },
  log: { logs: [], witnesses: [], quorum: undefined },
  maxProofAgeMs: 0,
  minimumSecurityVersion: 0,
};
