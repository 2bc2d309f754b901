// What `npm start` can be told.
import { parseArgs } from "node:util";

export type UpOptions = {
  readonly port: number;
  readonly state: string | undefined;
  readonly model: string | undefined;
  readonly guardModel?: string | undefined;
  /** How long the guard model may take for a question, milliseconds. */
  readonly guardTimeoutMs?: number | undefined;
  readonly release: boolean;
  readonly json: boolean;
};

export const help = `Runs the whole of Sotto on this machine, on simulated hardware.

  npm start -- [options]

  --port <number>         port of the local endpoint (default 8787, a free one if that is taken; 0 for a free one)
  --model <what>          a GGUF file, or an OpenAI-compatible server (http://127.0.0.1:11434/v1);
                          without it a tiny built-in model answers, which only babbles
  --guard-model <what>    a file or a server likewise, whose model judges every question first, as Llama Guard does
  --guard-timeout <ms>    how long that may take before the question is refused (100 to 60000, default 20000)
  --state <folder>        keep keys, log and stack.json there (default: a temporary folder, deleted at the end)
  --release               with a kept state: publish what is on disk now as a new release
  --json                  print events as JSON lines
  --help                  this text

Ctrl-C ends everything. Exit codes: 0 ended as asked, 1 a part failed, 2 wrong usage.
`;

/** How long a guard model may take for a question, unless something else is asked for. */
export const defaultGuardTimeoutMs = 20_000;

export class UsageError extends Error {}

/** Reads the arguments; throws `UsageError`. Returns undefined when help was asked for. */
export function parseOptions(args: readonly string[]): UpOptions | undefined {
  let values: ReturnType<typeof read>;
  try {
    values = read(args);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : "wrong arguments");
  }
  if (values.help === true) return undefined;
  const port = values.port ?? "8787";
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65535) throw new UsageError("--port: not a port number");
  const timeoutMs = values["guard-timeout"] ?? String(defaultGuardTimeoutMs);
  if (!/^\d{3,5}$/.test(timeoutMs) || Number(timeoutMs) < 100 || Number(timeoutMs) > 60_000) {
    throw new UsageError("--guard-timeout: not from 100 to 60000");
  }
  return {
    port: Number(port),
    state: values.state,
    model: values.model,
    guardModel: values["guard-model"],
    guardTimeoutMs: Number(timeoutMs),
    release: values.release === true,
    json: values.json === true,
  };
}

function read(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: {
      port: { type: "string" },
      state: { type: "string" },
      model: { type: "string" },
      "guard-model": { type: "string" },
      "guard-timeout": { type: "string" },
      release: { type: "boolean" },
      json: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
    allowPositionals: false,
  }).values;
}
