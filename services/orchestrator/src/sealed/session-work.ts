// What a sealed process of the orchestrator does: one attested session with a client, one question, one answer.
import { readFileSync } from "node:fs";
import type { PeerEvidence, SessionBinding, TrustPolicy } from "@sotto/attestation";
import { CodedError, systemRandom } from "@sotto/base";
import { serveRequest } from "@sotto/exchange";
import { type Guard, openGuard } from "@sotto/guard";
import type { ClientSession } from "@sotto/ratls";
import { acceptServerSession } from "@sotto/ratls/server";
import {
  type Channel,
  type Obstacle,
  type Outcome,
  requestEvidence,
  runSealed,
  type SealedWork,
} from "@sotto/sealed/child";
import type { MeasuredConfig } from "../measured-config.ts";
import { openClientStream } from "./client-stream.ts";
import { createGuardModel } from "./guard-model.ts";
import { createOrchestrator } from "./orchestrator.ts";
import { rehearse } from "./rehearsal.ts";
import { openUpstream, type Upstream } from "./upstream-session.ts";

/** Why a session cannot be attested; clients are told the code. */
export class SessionError extends CodedError<"predictor-refused" | "guard-refused" | "busy"> {}

/** The argument of a sealed process: where the measured files are. */
export type SessionPaths = { readonly config: string; readonly policy: string; readonly classifier: string };

export type Loaded = {
  readonly policy: TrustPolicy;
  readonly guard: Guard;
  /** How long a guard model may take for a question; undefined where none is asked. */
  readonly guardMs: number | undefined;
  predictor: Upstream;
  guardModel: Upstream;
};

type Sessions = {
  readonly predictor: ClientSession;
  readonly guardModel: { readonly session: ClientSession; readonly timeoutMs: number } | undefined;
};

const unopened: Upstream = { problem: "unreachable" };

/** Runs this process; `createPolicy` turns the measured settings into what predictors and guards are held to. */
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
        policy: readFileSync(paths.policy),
        classifier: readFileSync(paths.classifier),
      });
      await rehearse(guard);
      const policy = createPolicy(config);
      const guardMs = config.guard.model?.timeoutMs;
      return { policy, guard, guardMs, predictor: unopened, guardModel: unopened };
    },
    prepare: async (loaded, channel) => {
      const { policy, guardMs } = loaded;
      const open = (role: "predictor" | "guard"): Promise<Upstream> =>
        openUpstream({ channel, role, policy, clock: Date.now, random: systemRandom });
      const [predictor, guardModel] = await Promise.all([
        open("predictor"),
        guardMs === undefined ? unopened : open("guard"),
      ]);
      loaded.predictor = predictor;
      loaded.guardModel = guardModel;
      if (predictor.problem !== undefined) return obstacleOf("predictor", predictor.problem);
      return guardMs === undefined || guardModel.problem === undefined
        ? "none"
        : obstacleOf("guard", guardModel.problem);
    },
    serve,
  };
}

async function serve(loaded: Loaded, channel: Channel): Promise<Outcome> {
  const { stream, endFlight } = openClientStream(channel);
  // The client is shown the evidence of the very sessions that its question will travel in.
  const attest = (binding: SessionBinding) => requestEvidence(channel, "client", binding, peersOf(loaded));
  try {
    const session = await acceptServerSession({
      stream,
      role: "orchestrator",
      attester: { attest: async (binding) => attest(binding) },
      random: systemRandom,
      onFlight: endFlight,
    });
    if (!isTurnedAway(loaded)) return await answer(session, loaded.guard, requireSessions(loaded));
    // Its client has seen that it has nobody to ask, and asks nothing.
    session.close();
    return "failed";
  } catch {
    return "failed"; // the client has been told, inside the session, as far as there was one
  }
}

function obstacleOf(role: "predictor" | "guard", problem: NonNullable<Upstream["problem"]>): Obstacle {
  return problem === "unreachable" ? `${role}-unreachable` : `${role}-refused`;
}

/** Evidence of the nodes that the question will go to; throws `SessionError` where one is missing. */
function peersOf(loaded: Loaded): PeerEvidence[] {
  // Whom its nodes turn away has nobody to show. The client is still to see what they saw, and refuses in any case.
  if (isTurnedAway(loaded)) return [];
  const { predictor, guardModel } = requireSessions(loaded);
  const sessions = guardModel === undefined ? [predictor] : [predictor, guardModel.session];
  return sessions.map(({ evidence }) => evidence);
}

function isTurnedAway({ predictor, guardModel, guardMs }: Loaded): boolean {
  const problems = [predictor.problem, ...(guardMs === undefined ? [] : [guardModel.problem])];
  const known = problems.filter((problem) => problem !== undefined);
  return known.length > 0 && known.every((problem) => problem === "turned-away");
}

async function answer(
  session: Awaited<ReturnType<typeof acceptServerSession>>,
  guard: Guard,
  { predictor, guardModel }: Sessions,
): Promise<Outcome> {
  let outcome: Outcome = "answered";
  const handler = createOrchestrator({
    predictor,
    guard,
    secondOpinion: guardModel === undefined ? undefined : createGuardModel({ ...guardModel, guard }),
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

/** The sessions, all of them; throws `SessionError`. */
function requireSessions({ predictor, guardModel, guardMs }: Loaded): Sessions {
  return {
    predictor: requireSession("predictor", predictor),
    guardModel:
      guardMs === undefined
        ? undefined
        : { session: requireSession("guard", guardModel), timeoutMs: guardMs },
  };
}

function requireSession(role: "predictor" | "guard", { session, problem }: Upstream): ClientSession {
  if (session !== undefined) return session;
  throw problem === "unreachable"
    ? new SessionError("busy", `no ${role} can be reached`)
    : new SessionError(`${role}-refused`, `no ${role} could be verified, or verified this`);
}
