// One attested session with a client: evidence that includes the predictor's, one question, one answer.
import type { PeerEvidence, SessionBinding } from "@sotto/attestation";
import type { Attester } from "@sotto/attester";
import type { Random } from "@sotto/base";
import { serveRequest } from "@sotto/exchange";
import { acceptServerSession, type ClientSession } from "@sotto/ratls";
import type { FlightStream } from "./flight-stream.ts";
import { createOrchestrator } from "./orchestrator.ts";
import type { PredictorPool } from "./predictor-pool.ts";

export type SealedSessionDependencies = {
  readonly attester: Attester;
  readonly predictors: PredictorPool;
  readonly random: Random;
  readonly onEnd: (outcome: "answered" | "failed") => void;
};

/** Wires what serves one session over a stream, from handshake to close. */
export function createSealedSession(
  dependencies: SealedSessionDependencies,
): (stream: FlightStream, signal: AbortSignal) => Promise<void> {
  return async (stream, signal) => {
    let predictor: ClientSession | undefined;
    let outcome: "answered" | "failed" = "failed";
    // The client is shown the evidence of the very predictor session that its question will travel in.
    const attest = async (binding: SessionBinding) => {
      predictor = await dependencies.predictors.take();
      const peer: PeerEvidence = predictor.evidence;
      return dependencies.attester.attest(binding, { peers: [peer], layers: [] });
    };
    try {
      const session = await acceptServerSession({
        stream,
        role: "orchestrator",
        attester: { attest },
        random: dependencies.random,
        onFlight: () => stream.endFlight(),
        signal,
      });
      if (predictor === undefined) throw new Error("session came up without a predictor");
      await serveRequest(session, createOrchestrator({ predictor }), signal);
      outcome = "answered";
      session.close();
    } finally {
      predictor?.close();
      dependencies.onEnd(outcome);
    }
  };
}
