// Files that could hold text: those below a folder, those that processes hold open, deleted ones among them.
import { closeSync, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";
import { join } from "node:path";

export type FileLook = (bytes: Buffer, path: string) => void;

const pieceBytes = 4 * 1024 * 1024;

/** Gives every regular file below a folder to `look`; only those changed at `since` or later when that is given. */
export function readFolder(folder: string, overlap: number, look: FileLook, sinceMs = 0): number {
  let files = 0;
  for (const entry of listFolder(folder)) {
    const path = join(folder, entry);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isDirectory() === true) files += readFolder(path, overlap, look, sinceMs);
    else if (stat?.isFile() === true && Math.max(stat.mtimeMs, stat.ctimeMs) >= sinceMs) {
      if (readWhole(path, path, overlap, look)) files += 1;
    }
  }
  return files;
}

/** Gives every regular file that a process holds open to `look`, whether it still has a name or not. */
export function readOpenFiles(pid: number, seen: Set<string>, overlap: number, look: FileLook): number {
  let files = 0;
  for (const descriptor of listFolder(`/proc/${pid}/fd`)) {
    const path = `/proc/${pid}/fd/${descriptor}`;
    let name: string;
    try {
      name = readlinkSync(path);
    } catch {
      continue; // closed meanwhile
    }
    // Sockets, pipes and the like have no path; opening a device could wait for ever.
    if (!/^\/(?!dev\/(?!shm\/))/.test(name) && !name.startsWith("/memfd:")) continue;
    if (readWhole(path, name, overlap, look, seen)) files += 1;
  }
  return files;
}

function readWhole(path: string, name: string, overlap: number, look: FileLook, seen?: Set<string>): boolean {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return false; // gone meanwhile
  }
  try {
    const { dev, ino, size } = fstatSync(file);
    const key = `${dev} ${ino}`;
    if (seen?.has(key) === true || !fstatSync(file).isFile()) return false;
    seen?.add(key);
    const piece = Buffer.alloc(Math.min(pieceBytes, size) + overlap + 1);
    let carried = 0;
    for (let at = 0; ; ) {
      const read = readSync(file, piece, carried, piece.length - carried, at);
      if (read === 0) return true;
      const filled = carried + read;
      look(piece.subarray(0, filled), name);
      carried = Math.min(overlap, filled);
      piece.copyWithin(0, filled - carried, filled);
      at += read;
    }
  } finally {
    closeSync(file);
  }
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // gone meanwhile, or not ours to read
  }
}
