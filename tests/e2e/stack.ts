// A whole stack for tests: the real command, the real processes, ended by their own ids.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const root: string = join(import.meta.dirname, "..", "..");

export type StackPart = { readonly role: string; readonly pid: number; readonly address: string };

export type Stack = {
  readonly folder: string;
  readonly endpoint: string;
  readonly parts: readonly StackPart[];
  readonly process: ChildProcess;
  readonly stop: () => Promise<number | null>;
};

export type StackOptions = {
  readonly args?: readonly string[];
  /** Keep using this folder, and leave it. */
  readonly folder?: string;
  /** Clone to run from, default this one. */
  readonly root?: string;
};

/** Starts `npm start`'s program and resolves when it says that it is ready. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "sotto-test-"));
  const entry = join(options.root ?? root, "tools/up/src/main.ts");
  const child = spawn(
    process.execPath,
    [entry, "--json", "--port", "0", "--state", folder, ...(options.args ?? [])],
    { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NODE_NO_WARNINGS: "1" } },
  );
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  const endpoint = await new Promise<string>((resolve, reject) => {
    const lines: string[] = [];
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`stack not ready in 60 s\n${lines.join("\n")}\n${errors}`));
    }, 60_000);
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`stack ended with ${code}\n${lines.join("\n")}\n${errors}`));
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      lines.push(line);
      const event = JSON.parse(line);
      if (event.event !== "ready") return;
      clearTimeout(timer);
      child.removeAllListeners("exit");
      resolve(event.endpoint);
    });
  });
  const { parts } = JSON.parse(readFileSync(join(folder, "stack.json"), "utf8"));
  return {
    folder,
    endpoint,
    parts,
    process: child,
    stop: async () => {
      const ended = new Promise<number | null>((resolve) => {
        if (child.exitCode !== null) resolve(child.exitCode);
        else child.once("exit", (code) => resolve(code));
      });
      child.kill("SIGINT");
      const code = await ended;
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
      return code;
    },
  };
}

export type CommandResult = {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
};

/** Runs `sotto` against a stack and collects what it says. */
export function sotto(
  stack: { readonly folder: string },
  args: readonly string[],
  input = "",
  from: string = root,
): Promise<CommandResult> {
  const [command = "", ...rest] = args;
  const child = spawn(
    process.execPath,
    [join(from, "clients/cli/src/main.ts"), command, "--stack", stack.folder, ...rest],
    { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, NODE_NO_WARNINGS: "1" } },
  );
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  child.stdin.end(input);
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
}
