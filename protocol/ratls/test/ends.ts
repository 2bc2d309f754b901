// Both ends of sessions as they must be, and puppets that hold a genuine node's strings.
import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import {
  AttestationError,
  type AttestationErrorCode,
  type EvidenceBundle,
  type SessionBinding,
  serializeEvidenceBundle,
} from "@sotto/attestation";
import { type Bytes, concatBytes, copyBytes, type Random, systemRandom } from "@sotto/base";
import { bindChannel } from "../src/attest-request.ts";
import type { SecureChannel } from "../src/channel.ts";
import { frameType } from "../src/frame.ts";
import {
  type ClientSession,
  type ClientSessionOptions,
  openClientSession,
  RatlsError,
  type RatlsErrorCode,
} from "../src/index.ts";
import { createNodeChannel } from "../src/node-channel.node.ts";
import { acceptServerSession, type ServerSession, type ServerSessionOptions } from "../src/server.node.ts";
import { asByteStream } from "./byte-stream.ts";
import { goodCertificate, rawFrame, rawServer } from "./peer.ts";
import { createStage, type Stage } from "./stage.ts";

export const stage: Stage = await createStage();
export const random: Random = systemRandom;
export const question: Bytes = copyBytes(Buffer.from("does anybody hear this?"));

type OneWay<Options> = Partial<Omit<Extract<Options, { readonly role: "orchestrator" }>, "role">>;
type Mutual<Options> = Partial<Extract<Options, { readonly role: "predictor" | "guard" }>>;

/** A client of an orchestrator. */
export const open = (stream: Duplex, options: OneWay<ClientSessionOptions> = {}): Promise<ClientSession> =>
  openClientSession({
    stream: asByteStream(stream),
    policy: stage.policy,
    role: "orchestrator",
    clock: Date.now,
    random,
    ...options,
  });

/** An orchestrator. */
export const accept = (stream: Duplex, options: OneWay<ServerSessionOptions> = {}): Promise<ServerSession> =>
  acceptServerSession({
    stream,
    role: "orchestrator",
    attester: stage.attester("orchestrator"),
    random,
    ...options,
  });

/** An orchestrator as the client of a predictor, unless told that it is one of a guard. */
export const openNode = (
  stream: Duplex,
  options: Mutual<ClientSessionOptions> = {},
): Promise<ClientSession> =>
  openClientSession({
    stream: asByteStream(stream),
    policy: stage.policy,
    role: "predictor",
    attester: stage.attester("orchestrator", { peers: [] }),
    clock: Date.now,
    random,
    ...options,
  });

/** A predictor, unless told that it is a guard. */
export const acceptNode = (
  stream: Duplex,
  options: Mutual<ServerSessionOptions> = {},
): Promise<ServerSession> =>
  acceptServerSession({
    stream,
    role: "predictor",
    clientPolicy: stage.policy,
    attester: stage.attester(options.role ?? "predictor"),
    random,
    ...options,
  });

/** What an answer is in all. */
export async function collect(chunks: AsyncIterable<Bytes>): Promise<Bytes> {
  const parts: Bytes[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return concatBytes(...parts);
}

/** Checks the code that something was refused with. */
export function failsWith(code: RatlsErrorCode | AttestationErrorCode) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof RatlsError || error instanceof AttestationError, String(error));
    assert.equal(error.code, code);
    return true;
  };
}

/** Answers the one request with itself, in pieces. */
export async function echo(session: ServerSession, pieces = 1): Promise<void> {
  const content = await session.request;
  const answer = session.respond();
  for (let count = 0; count < pieces; count += 1) await answer.write(content);
  await answer.end();
}

/** The channel of a socket of one's own, for its exporter. */
export const channelOf = (socket: TLSSocket): SecureChannel => createNodeChannel(socket, socket, () => {});

/** A genuine node's TLS and evidence with other words in its mouth. */
export type PuppetOptions = {
  readonly identity?: ReturnType<typeof goodCertificate>;
  readonly group?: string;
  readonly alpn?: string;
  readonly role?: SessionBinding["role"];
  /** Makes the evidence; the binding is that of this very channel. */
  readonly attest?: (binding: SessionBinding) => Promise<EvidenceBundle | Uint8Array>;
  /** Called when the client has asked for something after the evidence. */
  readonly onRequest?: (socket: TLSSocket) => void;
};

/** Starts a puppet; returns what the client said to it inside TLS. */
export function startPuppet(stream: Duplex, options: PuppetOptions = {}): () => Buffer {
  const { identity = goodCertificate(), role = "orchestrator" } = options;
  const attest = options.attest ?? stage.attester(role).attest;
  const heard: Buffer[] = [];
  let asked = false;
  const socket = rawServer(stream, {
    cert: identity.certificate,
    key: identity.key,
    ecdhCurve: options.group ?? "X25519MLKEM768",
    ALPNProtocols: [options.alpn ?? "sotto/1"],
  });
  socket.on("data", async (bytes: Buffer) => {
    heard.push(bytes);
    if (asked) options.onRequest?.(socket);
    else {
      asked = true;
      const request = copyBytes(bytes.subarray(9));
      const evidence = await attest(
        bindChannel(channelOf(socket), { end: "server", role }, identity.spkiDigest, request),
      );
      const content = evidence instanceof Uint8Array ? evidence : serializeEvidenceBundle(evidence);
      socket.write(rawFrame(frameType.attestResponse, content));
    }
  });
  return () => Buffer.concat(heard);
}
