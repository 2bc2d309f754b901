// One part of the stack: a process that says on its standard output when it is ready and where.
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";

export type PartOptions = {
  readonly name: string;
  readonly entry: string;
  readonly args?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
};

/** A running part; `pid` is the process that does the work. */
export type Part = {
  readonly name: string;
  readonly pid: number;
  readonly address: string;
  readonly process: ChildProcess;
};

const readyTimeoutMs = 20_000;

/** Starts a part and resolves once it is ready; its log goes to a file of its own. */
export function startPart(options: PartOptions): Promise<Part> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [options.entry, ...(options.args ?? [])], {
      // A closed standard input tells the part that this process is gone, however it went.
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...options.env, NODE_NO_WARNINGS: "1" },
    });
    const log = createWriteStream(options.logFile, { flags: "a", mode: 0o600 });
    child.stderr.pipe(log, { end: false });
    const tail: string[] = [];
    createInterface({ input: child.stderr }).on("line", (line) => {
      tail.push(line);
      if (tail.length > 5) tail.shift();
    });
    const fail = (why: string): void => {
      clearTimeout(timer);
      child.kill("SIGKILL");
      reject(new Error([`${options.name} ${why}`, ...tail].join("\n    ")));
    };
    const timer = setTimeout(() => fail("did not become ready in time"), readyTimeoutMs);
    child.once("error", () => fail("could not be started"));
    child.once("exit", (code) => fail(`ended before it was ready (exit ${code ?? "by signal"})`));
    createInterface({ input: child.stdout }).on("line", (line) => {
      log.write(`${line}\n`);
      const ready = readyLine(line);
      if (ready === undefined || child.pid === undefined) return;
      clearTimeout(timer);
      child.removeAllListeners("exit");
      resolve({ name: options.name, pid: ready.pid ?? child.pid, address: ready.address, process: child });
    });
  });
}

/** Ends parts in the order given, politely first. */
export async function stopParts(parts: readonly Part[]): Promise<void> {
  await Promise.all(
    parts.map(({ process: child }) => {
      if (child.exitCode !== null || child.signalCode !== null) return undefined;
      return new Promise<void>((resolve) => {
        const force = setTimeout(() => child.kill("SIGKILL"), 3000);
        child.once("exit", () => {
          clearTimeout(force);
          resolve();
        });
        child.kill("SIGTERM");
      });
    }),
  );
}

function readyLine(line: string): { address: string; pid: number | undefined } | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== "object" || value === null || !("event" in value) || value.event !== "ready")
      return undefined;
    if (!("address" in value) || typeof value.address !== "string") return undefined;
    return {
      address: value.address,
      pid: "pid" in value && typeof value.pid === "number" ? value.pid : undefined,
    };
  } catch {
    return undefined;
  }
}
