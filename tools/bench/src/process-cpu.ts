// Processor time of other processes, as Linux counts it.
import { readFileSync } from "node:fs";

const tickMs = 10; // USER_HZ is 100 on every Linux that programs see

/** User and system time of these processes, their threads included; milliseconds. */
export function ownCpuMs(pids: readonly number[]): number {
  return sum(pids, 11, 12);
}

/** The same of all their children that have ended, and of those that these had. */
export function childrenCpuMs(pids: readonly number[]): number {
  return sum(pids, 13, 14);
}

// Fields behind the name, which may hold anything but ends in the last parenthesis (Linux proc(5)).
function sum(pids: readonly number[], ...fields: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const values = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    for (const field of fields) ticks += Number(values[field]);
  }
  return ticks * tickMs;
}
