// What a person sees: progress while the stack starts, then one screen with what to do next.
import { styleText } from "node:util";

/** How the stack presents itself. */
export interface Screen {
  step(name: string): void;
  done(name: string, detail: string): void;
  ready(stack: ReadyStack): void;
  note(text: string): void;
  failed(text: string): void;
}

export type ReadyStack = {
  readonly endpoint: string;
  readonly model: string;
  readonly babbles: boolean;
  /** Name of the model that judges questions; undefined where none does. */
  readonly guard: string | undefined;
  /** Whether sealed processes get namespaces of their own here. */
  readonly namespaces: boolean;
  readonly state: string;
  readonly kept: boolean;
  readonly seconds: number;
};

/** The screen of a terminal, on standard error; plain lines when it is not a terminal. */
export function createTerminalScreen(): Screen {
  const out = process.stderr;
  const tty = out.isTTY === true;
  const write = (text: string): void => void out.write(text);
  const paint = (colour: Parameters<typeof styleText>[0], text: string): string =>
    styleText(colour, text, { stream: out });
  return {
    step(name) {
      if (tty) write(`  ${paint("dim", "…")} ${name}`);
    },
    done(name, detail) {
      const line = `  ${paint("green", "✓")} ${name.padEnd(14)} ${paint("dim", detail)}\n`;
      write(tty ? `\r\u001b[K${line}` : line);
    },
    note(text) {
      write(`  ${text}\n`);
    },
    failed(text) {
      write(`${tty ? "\r\u001b[K" : ""}  ${paint("red", "✗")} ${text}\n`);
    },
    ready(stack) {
      const model = stack.babbles
        ? `${stack.model} (built in, and it only babbles: --model FILE for a real one)`
        : stack.model;
      const lines = [
        "",
        `${paint("bold", "Sotto is ready")} after ${stack.seconds.toFixed(1)} s.`,
        "",
        `  Endpoint   ${paint("bold", `${stack.endpoint}/v1`)}   for any OpenAI client, any API key`,
        `  Model      ${model}`,
        ...(stack.guard === undefined ? [] : [`  Guard      ${stack.guard} judges every question first`]),
        `  Hardware   ${paint(["bold", "yellow"], "SIMULATED")}: this shows how Sotto works, and protects nothing from this machine's owner`,
        `  Sandbox    ${stack.namespaces ? "each request in a sealed process of its own" : `${paint("yellow", "INCOMPLETE")}: bubblewrap is not on this machine (apt-get install bubblewrap)`}`,
        `  State      ${stack.state}${stack.kept ? "" : " (deleted at the end)"}`,
        "",
        "Try, in another terminal:",
        "",
        '  npm run -s sotto -- chat "What can you see of me?"',
        "  npm run -s sotto -- verify",
        `  curl -N ${stack.endpoint}/v1/chat/completions -H 'content-type: application/json' \\`,
        `    -d '{"model":"${stack.model}","stream":true,"messages":[{"role":"user","content":"Hello"}]}'`,
        "",
        "Ctrl-C ends everything.",
        "",
      ];
      write(lines.join("\n"));
    },
  };
}

/** The same as JSON lines on standard output, for programs. */
export function createJsonScreen(): Screen {
  const emit = (event: string, fields: object): void => {
    process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
  };
  return {
    step: () => {},
    done: (name, detail) => emit("started", { name, detail }),
    note: (text) => emit("note", { text }),
    failed: (text) => emit("failed", { text }),
    ready: (stack) => emit("ready", stack),
  };
}
