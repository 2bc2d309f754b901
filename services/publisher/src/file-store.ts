// The log in files: immutable tiles and bundles, and two files that move. Each write is whole or not there.
import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import type { Bytes } from "@sotto/base";

/**
 * What the publisher keeps. A write must be durable when it returns, and never be seen in part; `lock` must
 * keep every other writer out until `close`.
 */
export type LogStore = {
  readonly read: (path: string) => Bytes | undefined;
  readonly write: (path: string, bytes: Uint8Array) => void;
  readonly close: () => void;
};

/** Opens a folder for one writer; throws when another one has it. Nothing is written outside of it. */
export function openFileStore(path: string): LogStore {
  mkdirSync(path, { recursive: true });
  const folder = realpathSync(path);
  const lockPath = join(folder, "lock");
  const lock = takeLock(lockPath);
  return {
    read: (path) => {
      try {
        return new Uint8Array(readFileSync(join(folder, path)));
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
        throw error;
      }
    },
    write: (path, bytes) => {
      const target = resolve(folder, path);
      makeFolders(folder, dirname(target));
      rmSync(`${target}.new`, { force: true });
      const file = openSync(`${target}.new`, "wx"); // never what somebody has put there, nor what it links to
      try {
        writeSync(file, bytes);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(`${target}.new`, target);
      syncFolder(dirname(target));
    },
    close: () => {
      closeSync(lock);
      rmSync(lockPath, { force: true });
    },
  };
}

/** Makes each folder on the way to `target`; throws when it lies outside, or a link on the way leads there. */
function makeFolders(folder: string, target: string): void {
  if (target !== folder && !target.startsWith(folder + sep)) throw new Error("log folder: a path leads out");
  let path = folder;
  for (const name of relative(folder, target).split(sep).filter(Boolean)) {
    path = join(path, name);
    mkdirSync(path, { recursive: true });
    if (!lstatSync(path).isDirectory()) throw new Error("log folder: a link is in the way");
  }
}

/** A lock file with the owner's process id; one whose owner is gone is taken over. */
function takeLock(path: string): number {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      const lock = openSync(path, "wx");
      writeSync(lock, String(process.pid));
      return lock;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
      if (isRunning(Number(readFileSync(path, "utf8"))))
        throw new Error("log folder is in use", { cause: error });
      rmSync(path, { force: true });
    }
  }
  throw new Error("log folder is in use");
}

function isRunning(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function syncFolder(path: string): void {
  if (process.platform === "win32") return; // folders cannot be opened there, and renames are journalled
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
