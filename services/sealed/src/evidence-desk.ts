// Answers a sealed process that asks for evidence, once: what it gets is about its own session, of this role, and says
// which layers were found around it.
import {
  type EvidenceBundle,
  type PeerEvidence,
  type SandboxLayer,
  type SessionBinding,
  serializeEvidenceBundle,
} from "@sotto/attestation";
import { type Bytes, CodedError } from "@sotto/base";
import { parseAttestMessage } from "./attest-message.ts";
import { messageType, refusals, serializeWord } from "./message.ts";
import type { SealedProcess } from "./sealed-process.ts";

/** Makes evidence for one session. */
export type Attest = (
  binding: SessionBinding,
  parts: { readonly peers: readonly PeerEvidence[]; readonly layers: readonly SandboxLayer[] },
) => Promise<EvidenceBundle>;

/** Gives the answer to an `attest` message; a message that is not one ends the process. */
export async function answerAttest(
  process: Pick<SealedProcess, "send" | "layers" | "kill">,
  role: SessionBinding["role"],
  attest: Attest,
  content: Bytes,
): Promise<void> {
  let asked: ReturnType<typeof parseAttestMessage>;
  try {
    asked = parseAttestMessage(content);
  } catch {
    process.kill();
    return;
  }
  try {
    const { layers } = process;
    const bundle = await attest({ ...asked.binding, role }, { peers: asked.peers, layers });
    process.send(messageType.evidence, serializeEvidenceBundle(bundle));
  } catch (error) {
    const isBusy = error instanceof CodedError && error.code === "busy";
    process.send(messageType.refusal, serializeWord(refusals, isBusy ? "busy" : "failed"));
  }
}
