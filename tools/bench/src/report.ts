// What a benchmark found, as text for people and as JSON for programs.
import type { Spread } from "./rounds.ts";

/** One line of a result; `unit` is written behind the numbers. */
export type Row = { readonly name: string; readonly unit: string; readonly value: Spread };

/** A number that has to be reached; the benchmark fails when its median does not. */
export type Goal = {
  readonly name: string;
  readonly value: Spread;
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly stretch?: number;
};

/** The result of one benchmark; goals that could not be tried are named in `skipped`. */
export type BenchReport = {
  readonly bench: string;
  readonly rounds: number;
  readonly rows: readonly Row[];
  readonly goals: readonly Goal[];
  readonly skipped?: readonly string[];
};

/** Tells whether the median of a goal is where it should be. */
export function isMet({ value, atLeast = Number.NEGATIVE_INFINITY, atMost = Infinity }: Goal): boolean {
  return value.median >= atLeast && value.median <= atMost;
}

/** Text of a report: medians with the range over the rounds. */
export function renderReport(report: BenchReport): string {
  const width = Math.max(...[...report.rows, ...report.goals].map(({ name }) => name.length));
  const lines = [`${report.bench}: median [lowest..highest] of ${report.rounds} alternating rounds`, ""];
  for (const { name, unit, value } of report.rows) {
    lines.push(`  ${name.padEnd(width)}  ${renderSpread(value)} ${unit}`);
  }
  lines.push("");
  for (const goal of report.goals) {
    const wanted = goal.atLeast === undefined ? `at most ${goal.atMost}` : `at least ${goal.atLeast}`;
    const stretch = goal.stretch === undefined ? "" : `, stretch ${goal.stretch}`;
    const verdict = isMet(goal) ? "met" : "MISSED";
    lines.push(
      `  ${goal.name.padEnd(width)}  ${renderSpread(goal.value)}  target ${wanted}${stretch}: ${verdict}`,
    );
  }
  for (const reason of report.skipped ?? []) lines.push(`  skipped: ${reason}`);
  return `${lines.join("\n")}\n`;
}

function renderSpread({ median, low, high }: Spread): string {
  return `${renderNumber(median)} [${renderNumber(low)}..${renderNumber(high)}]`;
}

function renderNumber(value: number): string {
  return value.toPrecision(3).includes("e") ? String(Math.round(value)) : value.toPrecision(3);
}
