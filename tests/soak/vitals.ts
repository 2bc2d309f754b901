// What a service's process holds, as the kernel counts it, and which sealed processes it has.
import { readdirSync, readFileSync } from "node:fs";
import { findFamily, isSealed, readArguments } from "../canary/process-memory.ts";

export type Vitals = {
  readonly residentMib: number;
  readonly descriptors: number;
  /** Programs of sealed processes: the process itself, and what holds its namespaces. */
  readonly sealed: number;
};

/** Processes below this one that are sealed, or hold a sealed one. */
export function findSealed(pid: number): number[] {
  return findFamily([pid]).filter((one) => one !== pid && isSealed(readArguments(one)));
}

/** Counts now. */
export function readVitals(pid: number): Vitals {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const resident = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  return {
    residentMib: resident / 1024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    sealed: findSealed(pid).length,
  };
}
