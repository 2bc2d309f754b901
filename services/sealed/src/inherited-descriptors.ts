// Descriptors that this process was started with and would hand on, whoever put them there: a pipe or a file of the
// host's, which a sealed process could write to although it may open nothing.
import { openSync, readdirSync, readFileSync } from "node:fs";
import type { Socket } from "node:net";

const closeOnExec = 0o2000000; // O_CLOEXEC, which the runtime sets on all that it opens itself

/** Their numbers, from 3 on; where the kernel tells nothing, none. */
export function findInheritable(folder = "/proc/self/fdinfo"): number[] {
  const isInheritable = (name: string): boolean => {
    try {
      const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`${folder}/${name}`, "utf8"))?.[1];
      return flags !== undefined && (Number.parseInt(flags, 8) & closeOnExec) === 0;
    } catch {
      return false; // closed meanwhile, as the one that this was read with
    }
  };
  try {
    return readdirSync(folder)
      .filter((name) => Number(name) > 2 && isInheritable(name))
      .map(Number);
  } catch {
    return [];
  }
}

/** What a child finds at a descriptor, as `spawn` is told. */
export type Given = "pipe" | "ignore" | Socket | number;

let inherited: readonly number[] | undefined;
let nothing: number | undefined;

/** Adds to what a child is given, so that it finds an empty device wherever it would have inherited something. */
export function coverInherited(given: readonly Given[]): Given[] {
  const all = [...given];
  inherited ??= findInheritable();
  for (const descriptor of inherited) {
    while (all.length <= descriptor) all.push("ignore");
    if (all[descriptor] !== "ignore") continue;
    nothing ??= openSync("/dev/null", "r+");
    all[descriptor] = nothing;
  }
  return all;
}
