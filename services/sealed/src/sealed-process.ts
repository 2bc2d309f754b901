// One sealed process, seen from the one that started it: ciphertext in, ciphertext out, and a few words of a fixed form.
import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { missingLayers, parseSandboxLayers, type SandboxLayer, sandboxLayers } from "@sotto/attestation";
import { type Bytes, CodedError } from "@sotto/base";
import {
  type Message,
  MessageParser,
  type MessageType,
  messageType,
  type Obstacle,
  type Outcome,
  obstacles,
  outcomes,
  parseWord,
  type StreamName,
  serializeMessage,
  serializePieces,
  streamOf,
} from "./message.ts";
import { findSandboxTools, type SandboxOptions, sandboxCommand } from "./sandbox-command.ts";
import { probeSandbox } from "./sandbox-probe.ts";

/** Why there is no sealed process: it did not come up, or no more may run. */
export class SealedError extends CodedError<"start-failed" | "sandbox-incomplete" | "busy"> {}

/** What is done with what a sealed process says; nothing is called after `ended`. */
export type SealedHandlers = {
  /** Ciphertext of one of its sessions; false asks it to wait until `resume`. */
  readonly bytes: (name: StreamName, bytes: Bytes) => boolean;
  readonly end: (name: StreamName) => void;
  /** It has taken in `received` pieces of the client's stream, and has nothing to say to them any more. */
  readonly flight: (received: number) => void;
  /** It asks for evidence, or gives back or takes a turn; the answer is the caller's to send. */
  readonly asked: (type: "attest" | "turn", content: Bytes) => void;
  readonly done: (outcome: Outcome) => void;
};

/** What can be done with a process from its start on. */
export type SealedControls = {
  /** False when the process is behind; `onDrain` tells when it has caught up. */
  readonly write: (name: StreamName, bytes: Bytes) => boolean;
  readonly end: (name: StreamName) => void;
  readonly onDrain: (drained: () => void) => void;
  /** Lets the process go on after `bytes` had it wait. */
  readonly resume: () => void;
  readonly kill: () => void;
};

/** A process that is ready. */
export type SealedProcess = SealedControls & {
  readonly pid: number;
  /** Those that were found at its start, in canonical order. */
  readonly layers: readonly SandboxLayer[];
  readonly obstacle: Obstacle;
  readonly isAlive: () => boolean;
  /** Resolves when the process is gone, with its exit code, or undefined when a signal ended it. */
  readonly ended: Promise<number | undefined>;
  /** From now on these hear what it says. */
  readonly handle: (handlers: Partial<SealedHandlers>) => void;
  readonly send: (type: MessageType, content?: Bytes) => void;
};

export type SealedOptions = {
  readonly sandbox: SandboxOptions;
  /** How long it may take to be ready, milliseconds. */
  readonly startMs: number;
  /** A connection that becomes the child's, as descriptor 3: the only thing that it can reach. */
  readonly connection?: Socket;
  /** Called as soon as the process can be written to; what it returns hears the process until it is ready. */
  readonly onStart?: (controls: SealedControls) => Partial<SealedHandlers>;
};

const graceMs = 250;

/** Ends a process that lacks a layer of the sandbox, and throws `SealedError`. */
export function requireLayers({ layers, kill }: Pick<SealedProcess, "layers" | "kill">): void {
  if (missingLayers(layers).length === 0) return;
  kill();
  throw new SealedError("sandbox-incomplete", "sealed process: a layer of the sandbox is missing");
}

/** Starts a sealed process; resolves when it is ready. Throws `SealedError`. */
export function startSealed(options: SealedOptions): Promise<SealedProcess> {
  const { file, args, tellsChild } = sandboxCommand(options.sandbox, findSandboxTools());
  const child = spawn(file, args, {
    stdio: ["pipe", "pipe", "ignore", options.connection ?? "ignore", tellsChild ? "pipe" : "ignore"],
    env: {},
    cwd: "/",
  });
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new SealedError("start-failed", "sealed process: no streams");
  return follow(child, stdin, stdout, options);
}

function follow(
  child: ChildProcess,
  stdin: Writable,
  stdout: Readable,
  { startMs, onStart }: SealedOptions,
): Promise<SealedProcess> {
  let handlers: Partial<SealedHandlers> = {};
  let alive = true;
  const kill = (): void => void child.kill("SIGKILL");
  const inner = innerPid(child);
  const parser = new MessageParser([
    messageType.client,
    messageType.predictor,
    messageType.guard,
    messageType.clientEnd,
    messageType.predictorEnd,
    messageType.guardEnd,
    messageType.ready,
    messageType.flight,
    messageType.attest,
    messageType.turn,
    messageType.done,
  ]);
  stdin.on("error", kill);
  stdout.on("error", kill);
  const ended = new Promise<number | undefined>((resolve) => {
    child.once("exit", (code) => {
      alive = false;
      handlers = {};
      resolve(code ?? undefined);
    });
  });
  const controls: SealedControls = {
    write: (name, bytes) => {
      let free = true;
      if (alive) for (const message of serializePieces(name, bytes)) free = stdin.write(message);
      return free;
    },
    end: (name) => {
      if (alive) stdin.write(serializeMessage(endTypes[name]));
    },
    onDrain: (drained) => void stdin.on("drain", drained),
    resume: () => void stdout.resume(),
    kill,
  };
  return new Promise((resolve, reject) => {
    const fail = (): void => {
      clearTimeout(timer);
      kill();
      reject(new SealedError("start-failed", "sealed process: did not come up"));
    };
    const timer = setTimeout(fail, startMs);
    child.once("error", fail);
    ended.then(fail, fail);

    const becomeReady = async (content: Bytes): Promise<void> => {
      const inside = parseSandboxLayers(content.slice(0, 2));
      const obstacle = parseWord(obstacles, content[2]);
      const pid = await inner;
      if (pid === undefined || !alive) return fail();
      const outside = await probeSandbox(pid);
      clearTimeout(timer);
      resolve({
        ...controls,
        pid,
        obstacle,
        layers: sandboxLayers.filter((layer) => inside.includes(layer) || outside.includes(layer)),
        isAlive: () => alive,
        ended,
        handle: (given) => {
          handlers = given;
        },
        send: (type, message) => {
          if (alive) stdin.write(serializeMessage(type, message));
        },
      });
    };

    const dispatch = ({ type, content }: Message): void => {
      const carried = streamOf(type);
      if (carried?.isEnd === true) handlers.end?.(carried.name);
      else if (carried !== undefined) {
        if (handlers.bytes?.(carried.name, content) === false) stdout.pause();
      } else if (type === messageType.ready) becomeReady(content).catch(fail);
      else if (type === messageType.flight) handlers.flight?.(new DataView(content.buffer).getUint32(0));
      else if (type === messageType.attest) handlers.asked?.("attest", content);
      else if (type === messageType.turn) handlers.asked?.("turn", content);
      else {
        // It ends by itself now; when it does not, it is ended.
        setTimeout(kill, graceMs).unref();
        handlers.done?.(parseWord(outcomes, content[0]));
      }
    };

    stdout.on("data", (bytes: Buffer) => {
      try {
        for (const message of parser.push(bytes)) dispatch(message);
      } catch {
        kill(); // a process that does not keep to its few words has been taken over, or is broken
      }
    });
    handlers = onStart?.(controls) ?? {};
  });
}

const endTypes = {
  client: messageType.clientEnd,
  predictor: messageType.predictorEnd,
  guard: messageType.guardEnd,
} as const satisfies Record<StreamName, MessageType>;

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
