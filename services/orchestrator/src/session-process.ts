// Starts a sealed process of the orchestrator, joined to one predictor: it verifies that one before it is ready.
import { connect } from "node:net";
import type { Random } from "@sotto/base";
import {
  linkSocket,
  type Pooled,
  type SandboxOptions,
  type SealedHandlers,
  type SealedProcess,
  startSealed,
} from "@sotto/sealed";
import type { NodeAddress, OrchestratorConfig } from "./config.ts";
import type { SessionPaths } from "./sealed/session-work.ts";

/** A process for one session. */
export type SessionProcess = Pooled &
  SealedProcess & {
    /** Hears what the process says of its client; its predictor is looked after already. */
    readonly assign: (handlers: Partial<SealedHandlers>) => void;
  };

export type SessionProcessOptions = {
  readonly sandbox: SandboxOptions;
  readonly predictors: readonly NodeAddress[];
  readonly random: Random;
  /** How a process is started; sealed, unless a measurement is made of what that costs. */
  readonly start?: typeof startSealed;
};

const startMs = 30_000;
const memoryMib = 1024;
const cpuSeconds = 120;

/** What a sealed process of the orchestrator is given. */
export function sessionSandbox({ files }: Pick<OrchestratorConfig, "files">): SandboxOptions {
  const { code, config, policy, classifier } = files;
  const paths: SessionPaths = { config, policy, classifier };
  return {
    code,
    readable: [config, policy, classifier],
    addon: false,
    args: [JSON.stringify(paths)],
    memoryMib,
    cpuSeconds,
  };
}

/** Starts one, with a predictor picked uniformly at random; throws `SealedError`. */
export async function startSession(options: SessionProcessOptions): Promise<SessionProcess> {
  const address = pick(options.predictors, options.random);
  const socket = connect({ host: address.host, port: address.port, noDelay: true });
  let predictor: Pick<SealedHandlers, "bytes" | "end"> | undefined;
  try {
    const process = await (options.start ?? startSealed)({
      sandbox: options.sandbox,
      startMs,
      onStart: (controls) => {
        predictor = linkSocket(controls, "predictor", socket);
        return predictor;
      },
    });
    process.ended.finally(() => socket.destroy());
    const isFit = process.obstacle === "none";
    let assigned = false;
    // A predictor that goes before there is a client leaves this process without use; another one takes its place.
    const leave = (): void => {
      if (isFit && !assigned) process.kill();
    };
    socket.once("close", leave);
    if (socket.destroyed) leave();
    const assign = (handlers: Partial<SealedHandlers>): void => {
      assigned = true;
      process.handle({
        ...handlers,
        bytes: (name, bytes) => (name === "client" ? handlers : predictor)?.bytes?.(name, bytes) ?? true,
        end: (name) => (name === "client" ? handlers : predictor)?.end?.(name),
      });
    };
    return { ...process, isFit, assign };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function pick(addresses: readonly NodeAddress[], random: Random): NodeAddress {
  const draw = new DataView(random(4).buffer).getUint32(0);
  const address = addresses[Math.floor((draw / 2 ** 32) * addresses.length)];
  if (address === undefined) throw new Error("no predictor is configured");
  return address;
}
