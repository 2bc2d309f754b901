// Looks for canaries in everything that a set of processes holds, has written and has sent.
import { formsOf } from "./encodings.ts";
import { readFolder, readOpenFiles } from "./open-files.ts";
import { PatternSet } from "./pattern-set.ts";
import { findFamily, isSealed, type MemoryReport, readArguments, readMemory } from "./process-memory.ts";

/** A canary that was found: which one, in which form, and where. It is not quoted. */
export type Trace = {
  readonly canary: string;
  readonly encoding: string;
  readonly where: string;
  /** What stands around it, with the canary itself blotted out. */
  readonly context: string;
};

export type ScanOptions = {
  /** By what each is about, for instance "question 3". */
  readonly canaries: ReadonlyMap<string, string>;
  /** Process ids by name; what they have started is scanned too. */
  readonly roots: readonly { readonly name: string; readonly pid: number }[];
  /** Folders that are read whole. */
  readonly folders: readonly string[];
  /** Folders of which files are read that have changed since. */
  readonly changed: { readonly folders: readonly string[]; readonly sinceMs: number };
  readonly links: ReadonlyMap<string, Buffer>;
};

export type ProcessReport = MemoryReport & {
  readonly pid: number;
  /** The part that it is, or belongs to. */
  readonly part: string;
  readonly program: "node" | "sealed" | "bwrap" | "other";
  readonly openFiles: number;
};

export type ScanReport = {
  readonly traces: readonly Trace[];
  readonly processes: readonly ProcessReport[];
  readonly files: number;
  readonly linkBytes: ReadonlyMap<string, number>;
};

type Name = { readonly canary: string; readonly encoding: string };

/** Scans once; what ends meanwhile is told as ended. */
export function scan(options: ScanOptions): ScanReport {
  const names = [...options.canaries].flatMap(([canary, word]) =>
    formsOf(word).map(({ encoding, bytes }) => ({ name: { canary, encoding }, bytes })),
  );
  const patterns = new PatternSet<Name>(names);
  const overlap = patterns.maxLength - 1;
  const traces = new Map<string, Trace>();
  const look = (bytes: Buffer, where: string): void => {
    for (const { name, offset } of patterns.search(bytes)) {
      const key = `${name.canary} ${name.encoding} ${where}`;
      if (!traces.has(key)) traces.set(key, { ...name, where, context: contextOf(bytes, offset, names) });
    }
  };
  const seenMappings = new Set<string>();
  const seenFiles = new Set<string>();
  const processes: ProcessReport[] = [];
  for (const { name: part, pid: root } of options.roots) {
    for (const pid of findFamily([root])) {
      if (processes.some((known) => known.pid === pid)) continue;
      const program = programOf(pid);
      const place = `${part}, ${program} ${pid}`;
      const report = readMemory(pid, seenMappings, overlap, (bytes, { name, permissions }) =>
        look(bytes, `${place}: ${permissions} ${name === "" ? "memory" : name}`),
      );
      const openFiles = readOpenFiles(pid, seenFiles, overlap, (bytes, path) =>
        look(bytes, `${place}: open file ${path}`),
      );
      processes.push({ ...report, pid, part, program, openFiles });
    }
  }
  const lookAtFile = (bytes: Buffer, path: string): void => look(bytes, `file ${path}`);
  let files = 0;
  for (const folder of options.folders) files += readFolder(folder, overlap, lookAtFile);
  for (const folder of options.changed.folders)
    files += readFolder(folder, overlap, lookAtFile, options.changed.sinceMs);
  for (const [name, bytes] of options.links) look(bytes, `link ${name}`);
  const linkBytes = new Map([...options.links].map(([name, bytes]) => [name, bytes.length]));
  return { traces: [...traces.values()], processes, files, linkBytes };
}

function programOf(pid: number): ProcessReport["program"] {
  const [program = "", ...args] = readArguments(pid);
  if (program.endsWith("/bwrap")) return "bwrap";
  if (!program.endsWith("/node")) return "other";
  return isSealed(args) ? "sealed" : "node";
}

const contextBytes = 48;

function contextOf(bytes: Buffer, offset: number, names: readonly { readonly bytes: Buffer }[]): string {
  const around = Buffer.from(bytes.subarray(Math.max(0, offset - contextBytes), offset + 2 * contextBytes));
  for (const { bytes: form } of names) {
    for (let at = around.indexOf(form); at >= 0; at = around.indexOf(form))
      around.fill(0x23, at, at + form.length);
  }
  return around.toString("latin1").replace(/[^\x20-\x7e]+/g, ".");
}
