// Evidence for a session of this process, asked of the process that started it.
import {
  type EvidenceBundle,
  type PeerEvidence,
  parseEvidenceBundle,
  type SessionBinding,
} from "@sotto/attestation";
import { serializeAttestMessage } from "../attest-message.ts";
import { messageType, parseWord, refusals, type StreamName } from "../message.ts";
import { type Channel, ChannelError } from "./channel.ts";

/** Throws `ChannelError`, `busy` or `unavailable`, where there is no evidence. One request a session at a time. */
export async function requestEvidence(
  channel: Channel,
  stream: StreamName,
  binding: SessionBinding,
  peers: readonly PeerEvidence[] = [],
): Promise<EvidenceBundle> {
  const answer = channel.nextOf(stream, messageType.evidence, messageType.refusal);
  channel.send(messageType.attest, serializeAttestMessage({ stream, binding, peers }));
  const { type, content } = await answer;
  if (type === messageType.evidence) return parseEvidenceBundle(content);
  const isBusy = parseWord(refusals, content[0]) === "busy";
  throw new ChannelError(isBusy ? "busy" : "unavailable", "no evidence for this session");
}
