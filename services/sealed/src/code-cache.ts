// The compiled form of a sealed process's code, made once when the service starts, before anybody's text is there, from
// the code that was measured. It stays in this machine's own memory or disk, and goes with the service.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheCommand, type SandboxOptions } from "./sandbox-command.ts";

/** `path` is undefined where no cache could be made: processes then start more slowly, and that is all. */
export type CodeCache = { readonly path: string | undefined; readonly close: () => void };

const makeMs = 60_000;

/** Makes the cache by letting the code load, without any client. */
export async function openCodeCache(options: SandboxOptions): Promise<CodeCache> {
  const folder = mkdtempSync(join(tmpdir(), "sotto-code-")); // mode 0700
  const path = join(folder, "cache");
  const { file, args } = cacheCommand(options, path);
  // Its input is at its end from the start: it loads, finds nobody there, and ends.
  const child = spawn(file, args, { stdio: "ignore", env: {}, cwd: "/", timeout: makeMs });
  await new Promise<void>((resolve) => child.once("exit", () => resolve()).once("error", () => resolve()));
  const exists = statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  return { path: exists ? path : undefined, close: () => rmSync(folder, { recursive: true, force: true }) };
}
