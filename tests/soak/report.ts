// What a soak tells at its end.
import type { SoakReport } from "./soak.ts";

/** The lines of a report. */
export function describeSoak({ outcomes, killed, slowestMs, seconds, vitals, faults }: SoakReport): string[] {
  const counted = [...outcomes]
    .sort(([, a], [, b]) => b - a)
    .map(([outcome, count]) => `${outcome} ${count}`);
  const stories = Object.entries(vitals).map(([role, story]) => {
    const row = (pick: (vitals: (typeof story)[number]) => number): string =>
      story.map((one) => pick(one).toFixed(0)).join(", ");
    return `${role}: ${row((one) => one.residentMib)} MiB; ${row((one) => one.descriptors)} descriptors; ${row((one) => one.sealed)} programs of sealed processes`;
  });
  return [
    `${seconds.toFixed(0)} s, ${killed} processes killed, slowest client ${(slowestMs / 1000).toFixed(1)} s`,
    `clients: ${counted.join(", ")}`,
    "before the first, after a fifth, with the last, once quiet:",
    ...stories.map((story) => `  ${story}`),
    ...faults.map((fault) => `FAULT ${fault}`),
  ];
}
