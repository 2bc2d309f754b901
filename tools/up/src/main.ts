// `npm start`: the whole of Sotto on this machine, until Ctrl-C.
import { createServer } from "node:net";
import { help, parseOptions, type UpOptions, UsageError } from "./options.ts";
import { type Part, stopParts } from "./part.ts";
import { createJsonScreen, createTerminalScreen } from "./screen.ts";
import { startStack } from "./stack.ts";
import { StateFolder } from "./state-folder.ts";

async function main(): Promise<number> {
  let options: UpOptions | undefined;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`sotto: ${error.message}\n\n${help}`);
    return 2;
  }
  if (options === undefined) {
    process.stdout.write(help);
    return 0;
  }
  return run({ ...options, port: await choosePort(options.port) });
}

async function run(options: UpOptions): Promise<number> {
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
      const { endpoint, model } = stack;
      const seconds = (performance.now() - startedAt) / 1000;
      screen.ready({
        endpoint,
        model: model.id,
        babbles: model.babbles,
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
function choosePort(port: number): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(0));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(port)));
  });
}

process.exitCode = await main();
process.exit();
