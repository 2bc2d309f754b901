// Starts a sealed process of the orchestrator, joined to one predictor, and to one guard where a guard model is asked: it
// verifies them, and shows them evidence of its own, before it is ready.
import { connect, type Socket } from "node:net";
import type { Random } from "@sotto/base";
import {
  type Attest,
  linkSocket,
  MessageError,
  openNodeDesk,
  type Pooled,
  type SandboxOptions,
  type SealedControls,
  type SealedHandlers,
  type SealedProcess,
  type StreamName,
  startSealed,
} from "@sotto/sealed";
import type { NodeAddress, OrchestratorConfig } from "./config.ts";
import type { SessionPaths } from "./sealed/session-work.ts";

/** A process for one session. */
export type SessionProcess = Pooled &
  SealedProcess & {
    /** Hears what the process says of its client; the nodes that it asks are looked after already. */
    readonly assign: (handlers: Partial<SealedHandlers>) => void;
  };

export type SessionProcessOptions = {
  readonly sandbox: SandboxOptions;
  readonly predictors: readonly NodeAddress[];
  /** Undefined where no guard model is asked. */
  readonly guards?: readonly NodeAddress[] | undefined;
  readonly random: Random;
  /** Makes the evidence that those nodes want to see of this one. */
  readonly attest: Attest;
  /** How a process is started; sealed, unless a measurement is made of what that costs. */
  readonly start?: typeof startSealed;
};

type UpstreamHandlers = Pick<SealedHandlers, "bytes" | "end">;

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

/** Starts one, with each node that it will ask picked uniformly at random; throws `SealedError`. */
export async function startSession(options: SessionProcessOptions): Promise<SessionProcess> {
  const sockets = new Map<StreamName, Socket>([["predictor", connectTo(options.predictors, options.random)]]);
  if (options.guards !== undefined) sockets.set("guard", connectTo(options.guards, options.random));
  const leaveAll = (): void => {
    for (const socket of sockets.values()) socket.destroy();
  };
  let upstreams: UpstreamHandlers | undefined;
  try {
    const process = await (options.start ?? startSealed)({
      sandbox: options.sandbox,
      startMs,
      onStart: (starting) => {
        upstreams = linkUpstreams(starting, sockets);
        const { attest } = options;
        const desk = openNodeDesk(
          { process: starting, role: "orchestrator", attest },
          new Set(sockets.keys()),
        );
        const asked: SealedHandlers["asked"] = (type, content) =>
          type === "attest" ? void desk(content) : starting.kill();
        return { ...upstreams, asked };
      },
    });
    process.ended.finally(leaveAll);
    const isFit = process.obstacle === "none";
    let assigned = false;
    // A node that goes before there is a client leaves this process without use; another one takes its place.
    const leave = (): void => {
      if (isFit && !assigned) process.kill();
    };
    for (const socket of sockets.values()) {
      socket.once("close", leave);
      if (socket.destroyed) leave();
    }
    const assign = (handlers: Partial<SealedHandlers>): void => {
      assigned = true;
      process.handle({
        ...handlers,
        bytes: (name, bytes) => (name === "client" ? handlers : upstreams)?.bytes?.(name, bytes) ?? true,
        end: (name) => (name === "client" ? handlers : upstreams)?.end?.(name),
      });
    };
    return { ...process, isFit, assign };
  } catch (error) {
    leaveAll();
    throw error;
  }
}

/** Joins each connection to the stream of its name; what goes to any other stream ends the process. */
function linkUpstreams(controls: SealedControls, sockets: ReadonlyMap<StreamName, Socket>): UpstreamHandlers {
  const links = new Map([...sockets].map(([name, socket]) => [name, linkSocket(controls, name, socket)]));
  const linkOf = (name: StreamName): UpstreamHandlers => {
    const link = links.get(name);
    if (link === undefined) throw new MessageError("out-of-order", "message: of a stream that leads nowhere");
    return link;
  };
  return {
    bytes: (name, bytes) => linkOf(name).bytes(name, bytes),
    end: (name) => linkOf(name).end(name),
  };
}

function connectTo(addresses: readonly NodeAddress[], random: Random): Socket {
  const { host, port } = pick(addresses, random);
  return connect({ host, port, noDelay: true });
}

function pick(addresses: readonly NodeAddress[], random: Random): NodeAddress {
  const draw = new DataView(random(4).buffer).getUint32(0);
  const address = addresses[Math.floor((draw / 2 ** 32) * addresses.length)];
  if (address === undefined) throw new Error("no node is configured");
  return address;
}
