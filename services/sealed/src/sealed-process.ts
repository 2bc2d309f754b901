// Starts a sealed process, and waits until it is ready and its sandbox has been looked at.
import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { missingLayers, type SandboxLayer, sandboxLayers } from "@sotto/attestation";
import { CodedError } from "@sotto/base";
import { coverInherited } from "./inherited-descriptors.ts";
import type { Obstacle } from "./message.ts";
import {
  findSandboxTools,
  type SandboxOptions,
  type SandboxTools,
  sandboxCommand,
} from "./sandbox-command.ts";
import { probeSandbox } from "./sandbox-probe.ts";
import {
  createSealedPeer,
  type SealedControls,
  type SealedHandlers,
  type SealedPeer,
} from "./sealed-peer.ts";

/** Why there is no sealed process: it did not come up, or no more may run. */
export class SealedError extends CodedError<"start-failed" | "sandbox-incomplete" | "busy"> {}

/** A process that is ready. */
export type SealedProcess = SealedPeer & {
  readonly pid: number;
  /** Those that were found at its start, in canonical order. */
  readonly layers: readonly SandboxLayer[];
  readonly obstacle: Obstacle;
};

/** A process that is not ready yet. */
export type StartingProcess = SealedControls & {
  /** As of a process that is ready; resolves once it has locked itself down and was looked at, if ever. */
  readonly layers: Promise<readonly SandboxLayer[]>;
};

export type SealedOptions = {
  readonly sandbox: SandboxOptions;
  /** Programs that make the sandbox; those of the machine unless given. */
  readonly tools?: SandboxTools;
  /** How long it may take to be ready, milliseconds. */
  readonly startMs: number;
  /** A connection that becomes the child's, as descriptor 3: the only thing that it can reach. */
  readonly connection?: Socket;
  /** Called as soon as the process can be written to; what it returns hears the process until it is ready. */
  readonly onStart?: (process: StartingProcess) => Partial<SealedHandlers>;
};

// What only the process itself can tell; all else is asked of the kernel.
const seenFromInside: ReadonlySet<SandboxLayer> = new Set(["environment", "permission", "code"]);

/** Ends a process that lacks a layer of the sandbox, and throws `SealedError`. */
export function requireLayers({ layers, kill }: Pick<SealedProcess, "layers" | "kill">): void {
  if (missingLayers(layers).length === 0) return;
  kill();
  throw new SealedError("sandbox-incomplete", "sealed process: a layer of the sandbox is missing");
}

type Looked = Pick<SealedProcess, "pid" | "layers">;

/** Starts a sealed process; resolves when it is ready. Throws `SealedError`. */
export async function startSealed(options: SealedOptions): Promise<SealedProcess> {
  const child = spawnChild(options);
  const { stdin, stdout } = child;
  const ended = new Promise<number | undefined>((resolve) => {
    // Closed rather than exited: what it said last may still be on its way.
    child.once("close", (code) => resolve(code ?? undefined)).once("error", () => resolve(undefined));
  });
  // There are no streams where the process could not even be tried.
  if (child.pid === undefined || stdin === null || stdout === null) throw notStarted();
  const inner = innerPid(child).catch(() => undefined);
  return new Promise((resolve, reject) => {
    const fail = (): void => {
      clearTimeout(timer);
      peer.kill();
      reject(notStarted());
    };
    const timer = setTimeout(fail, options.startMs);
    ended.then(fail);
    const looked = Promise.withResolvers<Looked>();
    looked.promise.catch(fail);
    const lookAround = async (inside: readonly SandboxLayer[]): Promise<Looked> => {
      const pid = await inner;
      if (pid === undefined) throw notStarted();
      const outside = await probeSandbox(pid);
      const layers = sandboxLayers.filter((layer) =>
        (seenFromInside.has(layer) ? inside : outside).includes(layer),
      );
      return { pid, layers };
    };
    const becomeReady = async (obstacle: Obstacle): Promise<void> => {
      const found = await looked.promise;
      if (!peer.isAlive()) return fail();
      clearTimeout(timer);
      resolve({ ...peer, ...found, obstacle });
    };
    const peer = createSealedPeer({
      input: stdin,
      output: stdout,
      kill: () => void child.kill("SIGKILL"),
      ended,
      onLocked: (inside) => looked.resolve(lookAround(inside)),
      onReady: (obstacle) => void becomeReady(obstacle).catch(fail),
    });
    const layers = looked.promise.then((found) => found.layers);
    layers.catch(() => {}); // few ask
    peer.handle(options.onStart?.({ ...peer, layers }) ?? {});
  });
}

const notStarted = (): SealedError => new SealedError("start-failed", "sealed process: did not come up");

function spawnChild({ sandbox, tools = findSandboxTools(), connection }: SealedOptions): ChildProcess {
  const { file, args, tellsChild } = sandboxCommand(sandbox, tools);
  try {
    return spawn(file, args, {
      stdio: coverInherited([
        "pipe",
        "pipe",
        "ignore",
        connection ?? "ignore",
        tellsChild ? "pipe" : "ignore",
      ]),
      env: {},
      cwd: "/",
    });
  } catch (cause) {
    throw new SealedError("start-failed", "sealed process: did not come up", { cause });
  }
}

// In a process namespace of its own the child has another number than the program that made the namespace.
async function innerPid(child: ChildProcess): Promise<number | undefined> {
  const info = child.stdio[4];
  if (info === null || info === undefined || !("setEncoding" in info)) return child.pid;
  let text = "";
  info.setEncoding("utf8").on("error", () => {});
  for await (const piece of info) {
    text += String(piece);
    if (text.length > 4096 || text.includes("}")) break;
  }
  const found = /"child-pid":\s*(\d+)/.exec(text);
  return found?.[1] === undefined ? child.pid : Number(found[1]);
}
