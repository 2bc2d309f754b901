// What a sealed process of the orchestrator does: one attested session with a client, one question, one answer.
import { readFileSync } from "node:fs";
import type { SessionBinding, TrustPolicy } from "@sotto/attestation";
import { CodedError, systemRandom } from "@sotto/base";
import { serveRequest } from "@sotto/exchange";
import { type Guard, openGuard } from "@sotto/guard";
import { acceptServerSession, type ClientSession } from "@sotto/ratls";
import { type Channel, type Outcome, requestEvidence, runSealed, type SealedWork } from "@sotto/sealed/child";
import type { MeasuredConfig } from "../measured-config.ts";
import { openClientStream } from "./client-stream.ts";
import { createOrchestrator } from "./orchestrator.ts";
import { rehearse } from "./rehearsal.ts";
import { openUpstream, type Upstream } from "./upstream-session.ts";

/** Why a session cannot be attested; clients are told the code. */
export class SessionError extends CodedError<"predictor-refused" | "busy"> {}

/** The argument of a sealed process: where the measured files are. */
export type SessionPaths = { readonly config: string; readonly policy: string; readonly classifier: string };

export type Loaded = {
  readonly policy: TrustPolicy;
  readonly guard: Guard;
  predictor: Upstream;
};

/** Runs this process; `createPolicy` turns the measured settings into what predictors are held to. */
export function runSession(createPolicy: (config: MeasuredConfig) => TrustPolicy): void {
  runSealed(createSessionWork(createPolicy, process.argv[2]));
}

/** The work of one session; `argument` says where the measured files are. */
export function createSessionWork(
  createPolicy: (config: MeasuredConfig) => TrustPolicy,
  argument = "",
): SealedWork<Loaded> {
  return {
    load: async () => {
      const paths: SessionPaths = JSON.parse(argument);
      // Checked against its schema by the process that started this one, before it started any.
      const config: MeasuredConfig = JSON.parse(readFileSync(paths.config, "utf8"));
      const guard = openGuard({
        policy: new Uint8Array(readFileSync(paths.policy)),
        classifier: new Uint8Array(readFileSync(paths.classifier)),
      });
      await rehearse(guard);
      return { policy: createPolicy(config), guard, predictor: { problem: "unreachable" } };
    },
    prepare: async (loaded, channel) => {
      const { policy } = loaded;
      const own = { clock: Date.now, random: systemRandom };
      loaded.predictor = await openUpstream({ channel, role: "predictor", policy, ...own });
      const { problem } = loaded.predictor;
      return problem === undefined ? "none" : `predictor-${problem}`;
    },
    serve,
  };
}

async function serve({ guard, predictor }: Loaded, channel: Channel): Promise<Outcome> {
  const { stream, endFlight } = openClientStream(channel);
  const { session: upstream, problem } = predictor;
  // The client is shown the evidence of the very predictor session that its question will travel in.
  const attest = (binding: SessionBinding) => {
    if (upstream === undefined) throw absent(problem);
    return requestEvidence(channel, binding, [upstream.evidence]);
  };
  try {
    const session = await acceptServerSession({
      stream,
      role: "orchestrator",
      attester: { attest: async (binding) => attest(binding) },
      random: systemRandom,
      onFlight: endFlight,
    });
    if (upstream === undefined) throw absent(problem);
    return await answer(session, upstream, guard);
  } catch {
    return "failed"; // the client has been told, inside the session, as far as there was one
  }
}

async function answer(
  session: Awaited<ReturnType<typeof acceptServerSession>>,
  predictor: ClientSession,
  guard: Guard,
): Promise<Outcome> {
  let outcome: Outcome = "answered";
  const handler = createOrchestrator({
    predictor,
    guard,
    clock: Date.now,
    random: systemRandom,
    onRefusal: () => {
      outcome = "refused";
    },
  });
  await serveRequest(session, handler);
  session.close();
  return outcome;
}

function absent(problem: "refused" | "unreachable" | undefined): SessionError {
  return problem === "refused"
    ? new SessionError("predictor-refused", "no predictor could be verified")
    : new SessionError("busy", "no predictor can be reached");
}
