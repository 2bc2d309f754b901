// The life of a stack: up, watched, and down again with everything that belongs to it.
import { createServer } from "node:net";
import { findSandboxTools } from "@sotto/sealed";
import { type UpOptions, UsageError } from "./options.ts";
import { type Part, stopParts } from "./part.ts";
import { createJsonScreen, createTerminalScreen } from "./screen.ts";
import { startStack } from "./stack.ts";
import { StateFolder } from "./state-folder.ts";

/** Runs a stack until it is asked to end, or a part of it does; returns the exit code. */
export async function runStack(options: UpOptions): Promise<number> {
  const startedAt = performance.now();
  const screen = options.json ? createJsonScreen() : createTerminalScreen();
  const state = StateFolder.open(options.state);
  const parts: Part[] = [];
  let end = (_code: number): void => {};
  const ended = new Promise<number>((resolve) => {
    end = resolve;
  });
  let asked = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      asked = true;
      end(0);
    });
  }
  const watch = (part: Part): void => {
    parts.push(part);
    // Ctrl-C reaches the parts too; whoever ends then has been asked to.
    part.process.once("exit", () => setTimeout(() => fail(part.name), 100));
  };
  const fail = (name: string): void => {
    if (!asked) screen.failed(`${name} has ended; ending the rest`);
    end(asked ? 0 : 1);
  };
  let close = (): void => {};
  startStack(options, state, screen, watch).then(
    (stack) => {
      close = stack.close;
      const { endpoint, model, guard } = stack;
      const seconds = (performance.now() - startedAt) / 1000;
      screen.ready({
        endpoint,
        model: model.id,
        babbles: model.babbles,
        guard: guard?.id,
        namespaces: findSandboxTools().bwrap !== undefined,
        state: state.path,
        kept: state.kept,
        seconds,
      });
    },
    (error: unknown) => {
      if (!asked) screen.failed(error instanceof Error ? error.message : "the stack could not be started");
      end(error instanceof UsageError ? 2 : 1);
    },
  );
  const code = await ended;
  asked = true;
  close();
  await stopParts(parts.toReversed());
  state.close();
  return code;
}

/** The port that was asked for, or a free one when it is taken. */
export function choosePort(port: number): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(0));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(port)));
  });
}
