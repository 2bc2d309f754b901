// Answers a sealed process that asks for evidence of its sessions, as often as it may: what it gets is about one of them,
// of this role, and says which layers were found around it.
import {
  type EvidenceBundle,
  type PeerEvidence,
  type SandboxLayer,
  type SessionBinding,
  serializeEvidenceBundle,
  serializePeers,
} from "@sotto/attestation";
import { type Bytes, type Clock, CodedError, concatBytes, equalBytes } from "@sotto/base";
import { type AttestMessage, parseAttestMessage } from "./attest-message.ts";
import { messageType, refusals, type StreamName, serializeWord, streamNames } from "./message.ts";
import type { SealedPeer } from "./sealed-peer.ts";

/** Makes evidence for one session. */
export type Attest = (
  binding: SessionBinding,
  parts: { readonly peers: readonly PeerEvidence[]; readonly layers: readonly SandboxLayer[] },
) => Promise<EvidenceBundle>;

export type EvidenceDeskOptions = {
  readonly process: Pick<SealedPeer, "send" | "kill"> & {
    /** Those that were found around it; it is not asked before they are known. */
    readonly layers: readonly SandboxLayer[] | Promise<readonly SandboxLayer[]>;
  };
  readonly role: SessionBinding["role"];
  readonly attest: Attest;
};

/** Answers one `attest` message; resolves when that is done. What the process may not ask ends it. */
export type EvidenceDesk = (content: Bytes) => Promise<void>;

const maxRepeats = 16; // of a client's, during a long answer
const repeatMs = 10_000;

/** A desk for the sessions with nodes that the process will ask: once for each, and no node stands behind them. */
export function openNodeDesk(options: EvidenceDeskOptions, streams: ReadonlySet<StreamName>): EvidenceDesk {
  const left = new Set(streams);
  return createDesk(options, ({ stream, peers }) => left.delete(stream) && peers.length === 0);
}

/**
 * A desk for the session with its client: once, and then again from time to time, one at a time, about the same key and with
 * the same peers.
 */
export function openClientDesk(options: EvidenceDeskOptions & { readonly clock: Clock }): EvidenceDesk {
  const { clock } = options;
  let count = 0;
  let askedAt = Number.NEGATIVE_INFINITY;
  let open = 0;
  let first: Bytes | undefined;
  const desk = createDesk(options, ({ stream, binding, peers }) => {
    const now = clock();
    const isApart = open === 1 && now - askedAt >= repeatMs;
    count += 1;
    askedAt = now;
    const fixed = concatBytes(binding.spkiDigest, serializePeers(peers));
    first ??= fixed;
    return stream === "client" && isApart && count <= 1 + maxRepeats && equalBytes(first, fixed);
  });
  return async (content) => {
    open += 1;
    await desk(content);
    open -= 1;
  };
}

function createDesk(
  { process, role, attest }: EvidenceDeskOptions,
  mayAsk: (asked: AttestMessage) => boolean,
): EvidenceDesk {
  return async (content) => {
    const asked = parse(content);
    if (asked === undefined || !mayAsk(asked)) {
      process.kill();
      return;
    }
    const { stream, binding, peers } = asked;
    const name = serializeWord(streamNames, stream);
    try {
      const layers = await process.layers;
      const bundle = await attest({ ...binding, role }, { peers, layers });
      process.send(messageType.evidence, concatBytes(name, serializeEvidenceBundle(bundle)));
    } catch (error) {
      const isBusy = error instanceof CodedError && error.code === "busy";
      const word = serializeWord(refusals, isBusy ? "busy" : "failed");
      process.send(messageType.refusal, concatBytes(name, word));
    }
  };
}

function parse(content: Bytes): AttestMessage | undefined {
  try {
    return parseAttestMessage(content);
  } catch {
    return undefined;
  }
}
