// Reads all the memory of other processes that can be read, as the kernel shows it (Linux: /proc/<pid>/mem).
import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";

export type Mapping = {
  readonly start: number;
  readonly end: number;
  readonly permissions: string;
  /** A file, `[heap]` and the like, or nothing. */
  readonly name: string;
  /** Of the file, where there is one: two mappings of the same are alike while nobody has written to them. */
  readonly source: string;
  readonly residentKib: number;
  readonly anonymousKib: number;
};

/** What was read of one process. */
export type MemoryReport = {
  readonly mappings: number;
  readonly bytes: number;
  /** Of those: memory of the process's own, that it can write to. */
  readonly ownBytes: number;
  /** Why mappings were passed over, and how many for each reason. */
  readonly skipped: ReadonlyMap<string, number>;
  readonly ended: boolean;
};

type Look = (bytes: Buffer, mapping: Mapping) => void;
type Reader = {
  readonly memory: number;
  readonly pages: number | undefined;
  readonly overlap: number;
  readonly look: Look;
};

const pieceBytes = 4 * 1024 * 1024;
const pageBytes = 4096;
// The kernel's own pages, the same in every process, in which no process can write.
const kernelPages = new Set(["[vvar]", "[vvar_vclock]", "[vsyscall]"]);

/** The processes given and everything that they have started, in the order of their ids. */
export function findFamily(pids: Iterable<number>): number[] {
  const childrenOf = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const parent = /^\d+$/.test(name) ? parentOf(name) : undefined;
    if (parent !== undefined) childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), Number(name)]);
  }
  const found = new Set<number>();
  const pending = [...pids];
  for (let pid = pending.pop(); pid !== undefined; pid = pending.pop()) {
    if (found.has(pid)) continue;
    found.add(pid);
    pending.push(...(childrenOf.get(pid) ?? []));
  }
  return [...found].sort((a, b) => a - b);
}

function parentOf(pid: string): number | undefined {
  // The name of the program stands in brackets, and may hold anything.
  const fields = readText(`/proc/${pid}/stat`)
    ?.replace(/^.*\) /s, "")
    .split(" ");
  return fields?.[1] === undefined ? undefined : Number(fields[1]);
}

/** What a process was started with, its arguments apart; empty when it is gone. */
export function readArguments(pid: number): string[] {
  return (readText(`/proc/${pid}/cmdline`) ?? "").split("\0");
}

/** Whether a process runs the code of a sealed one; the bubblewrap around it has the same arguments. */
export function isSealed(args: readonly string[]): boolean {
  return args.some((argument) => argument.endsWith("/sealed/src/child/loader.cjs"));
}

/** Gives every readable piece of a process's memory to `look`; `seen` holds what need not be read twice. */
export function readMemory(pid: number, seen: Set<string>, overlap: number, look: Look): MemoryReport {
  const skipped = new Map<string, number>();
  const report = { mappings: 0, bytes: 0, ownBytes: 0 };
  const mappings = readMappings(pid);
  let memory: number;
  try {
    memory = openSync(`/proc/${pid}/mem`, "r");
  } catch (error) {
    const isGone = codeOf(error) === "ENOENT" || codeOf(error) === "ESRCH";
    if (!isGone) skipped.set(`memory cannot be opened (${codeOf(error)})`, mappings.length);
    return { ...report, skipped, ended: isGone };
  }
  const pages = openPages(pid);
  try {
    for (const mapping of mappings) {
      const reader = { memory, pages, overlap, look };
      const outcome = reasonToSkip(mapping, seen) ?? readMapping(reader, mapping);
      if (typeof outcome === "string") {
        skipped.set(outcome, (skipped.get(outcome) ?? 0) + 1);
        continue;
      }
      report.mappings += 1;
      report.bytes += outcome;
      if (isOwn(mapping)) report.ownBytes += outcome;
    }
  } finally {
    closeSync(memory);
    if (pages !== undefined) closeSync(pages);
  }
  return { ...report, skipped, ended: readMappings(pid).length === 0 };
}

function openPages(pid: number): number | undefined {
  try {
    return openSync(`/proc/${pid}/pagemap`, "r");
  } catch {
    return undefined;
  }
}

function reasonToSkip(mapping: Mapping, seen: Set<string>): string | undefined {
  if (kernelPages.has(mapping.name)) return `${mapping.name}: the kernel's`;
  if (!mapping.permissions.startsWith("r")) return "no permission to read: reserved, or guards";
  // Nobody has written to it since it was read from its file.
  if (mapping.source === "" || mapping.anonymousKib > 0) {
    return mapping.residentKib === 0 && mapping.source === "" ? "never touched, so empty" : undefined;
  }
  const key = `${mapping.source} ${mapping.end - mapping.start}`;
  if (seen.has(key)) return "same pages of a file as read before";
  seen.add(key);
  return undefined;
}

function isOwn({ permissions, source }: Mapping): boolean {
  return permissions.startsWith("rw") && source === "";
}

/** Returns the bytes that were read, or why none were. */
function readMapping({ memory, pages, overlap, look }: Reader, mapping: Mapping): number | string {
  let total = 0;
  for (const { start, end } of touchedRanges(pages, mapping)) {
    let carried = 0;
    for (let at = start; at < end; ) {
      let read: number;
      try {
        read = readSync(memory, piece, carried, Math.min(pieceBytes, end - at), at);
      } catch (error) {
        return total > 0 ? total : `cannot be read (${codeOf(error)}): ${mapping.name || "unnamed"}`;
      }
      if (read === 0) return total > 0 ? total : "gone meanwhile";
      const filled = carried + read;
      look(piece.subarray(0, filled), mapping);
      // What is cut in two by the end of this piece is whole in the next.
      carried = Math.min(overlap, filled);
      piece.copyWithin(0, filled - carried, filled);
      at += read;
      total += read;
    }
  }
  return total;
}

const piece = Buffer.alloc(pieceBytes + 64 * 1024);

/** Where there is anything: of memory without a file, pages that were never written to do not exist yet. */
function touchedRanges(
  pages: number | undefined,
  { start, end, source }: Mapping,
): { readonly start: number; readonly end: number }[] {
  if (pages === undefined || source !== "") return [{ start, end }];
  const entries = Buffer.alloc(((end - start) / pageBytes) * 8); // Linux: Documentation/admin-guide/mm/pagemap.rst
  if (readSync(pages, entries, 0, entries.length, (start / pageBytes) * 8) !== entries.length) {
    return [{ start, end }];
  }
  const ranges: { start: number; end: number }[] = [];
  for (let page = 0; page * 8 < entries.length; page += 1) {
    const presentOrSwapped = (entries[page * 8 + 7] ?? 0) & 0xc0;
    if (presentOrSwapped === 0) continue;
    const at = start + page * pageBytes;
    const last = ranges.at(-1);
    if (last?.end === at) last.end += pageBytes;
    else ranges.push({ start: at, end: at + pageBytes });
  }
  return ranges;
}

function readMappings(pid: number): Mapping[] {
  const mappings: Mapping[] = [];
  const head = /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) (\S+) (\d+)\s*(.*)$/;
  for (const line of (readText(`/proc/${pid}/smaps`) ?? "").split("\n")) {
    const [, start = "", end = "", permissions = "", offset = "", device = "", inode = "", name = ""] =
      head.exec(line) ?? [];
    const last = mappings.at(-1);
    if (start !== "") {
      const source = inode === "0" ? "" : `${device} ${inode} ${offset}`;
      mappings.push({
        ...{ start: Number.parseInt(start, 16), end: Number.parseInt(end, 16), permissions, name, source },
        ...{ residentKib: 0, anonymousKib: 0 },
      });
    } else if (last !== undefined) {
      const [field = "", kib = ""] = line.split(/:\s*/);
      const value = Number.parseInt(kib, 10);
      if (field === "Rss" || field === "Swap") {
        mappings.splice(-1, 1, { ...last, residentKib: last.residentKib + value });
      } else if (field === "Anonymous") mappings.splice(-1, 1, { ...last, anonymousKib: value });
    }
  }
  return mappings;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}
