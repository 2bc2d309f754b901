// What `npm start` can be told.
import { parseArgs } from "node:util";

export type UpOptions = {
  readonly port: number;
  readonly state: string | undefined;
  readonly model: string | undefined;
  readonly release: boolean;
  readonly json: boolean;
};

export const help = `Runs the whole of Sotto on this machine, on simulated hardware.

  npm start -- [options]

  --port <number>   port of the local endpoint (default 8787, a free one if that is taken; 0 for a free one)
  --model <what>    a GGUF file, or an OpenAI-compatible server (http://127.0.0.1:11434/v1);
                    without it a tiny built-in model answers, which only babbles
  --state <folder>  keep keys, log and stack.json there (default: a temporary folder, deleted at the end)
  --release         with a kept state: publish what is on disk now as a new release
  --json            print events as JSON lines
  --help            this text

Ctrl-C ends everything. Exit codes: 0 ended as asked, 1 a part failed, 2 wrong usage.
`;

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
  return {
    port: Number(port),
    state: values.state,
    model: values.model,
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
      release: { type: "boolean" },
      json: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
    allowPositionals: false,
  }).values;
}
