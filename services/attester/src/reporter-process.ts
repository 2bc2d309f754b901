// Starts the reporter: a process with the device's folder to itself, and without network, children or any other file.
import { type ChildProcess, spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { PassThrough, type Readable, type Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { type Seat, serializeSeat } from "./reporter/seat.ts";

/** A reporter that can be spoken to. */
export type ReporterConnection = {
  readonly input: Writable;
  readonly output: Readable;
  /** Ends it at once. */
  readonly kill: () => void;
  /** Resolves when it is gone and has been heard to its end, with its exit code, or undefined when it has none. */
  readonly ended: Promise<number | undefined>;
};

const entry = fileURLToPath(new URL("./reporter/main.ts", import.meta.url));
const own = dirname(dirname(dirname(entry)));
// What the reporter is made of besides its own folder; its imports find them over links beside each other.
const packages = ["attestation", "base", "kit", "log"] as const;
const heapMib = 64;

/** The command line of a reporter: what it may do is all in it. */
export function reporterCommand(seat: Seat): {
  readonly file: string;
  readonly args: readonly string[];
  readonly entry: string;
} {
  const code = [dirname(entry), join(own, "package.json"), ...packages.flatMap(foldersOf)];
  const flags = [
    "--permission",
    ...[...code, seat.device].map((path) => `--allow-fs-read=${path}`),
    `--allow-fs-write=${seat.device}`,
    "--disable-sigusr1", // would open the debugger
    "--disable-proto=delete",
    "--no-experimental-sqlite", // opens files past the permissions
    "--no-experimental-ffi",
    "--no-warnings",
    `--max-old-space-size=${heapMib}`,
    "--v8-pool-size=1",
  ];
  return { file: process.execPath, args: [...flags, entry, ...serializeSeat(seat)], entry };
}

function foldersOf(name: (typeof packages)[number]): string[] {
  const index = fileURLToPath(import.meta.resolve(`@sotto/${name}`));
  return [join(own, "..", "..", "node_modules", "@sotto", name), dirname(dirname(index))];
}

/** Starts a reporter with nothing of this process's environment. */
export function startReporter(seat: Seat): ReporterConnection {
  const { file, args } = reporterCommand(seat);
  const child: ChildProcess = spawn(file, args, { stdio: ["pipe", "pipe", "ignore"], env: {}, cwd: "/" });
  const ended = new Promise<number | undefined>((resolve) => {
    // Closed rather than exited: what it said last may still be on its way.
    child.once("close", (code) => resolve(code ?? undefined)).once("error", () => resolve(undefined));
  });
  return {
    // There are no streams where the process could not even be tried, which `ended` tells.
    input: child.stdin ?? new PassThrough(),
    output: child.stdout ?? new PassThrough(),
    kill: () => void child.kill("SIGKILL"),
    ended,
  };
}
