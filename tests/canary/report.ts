// What a trial tells: a line for each process, link and trace, none of which quotes a canary.
import type { ProcessReport, Trace } from "./scan.ts";
import type { TrialReport } from "./trial.ts";

const mebibyte = 1024 * 1024;

/** The lines of a report. */
export function describeTrial(report: TrialReport): string[] {
  const { processes, files, linkBytes, traces, faults, endings, whileAnswered } = report;
  const holders = new Set(whileAnswered.map(({ where }) => where.replace(/:.*/s, "")));
  const total = processes.reduce((sum, { bytes }) => sum + bytes, 0);
  const links = [...linkBytes].map(([name, bytes]) => `${name} ${(bytes / 1024).toFixed(0)} KiB`);
  return [
    ...processes.map(describeProcess),
    ...skippedOf(processes),
    `in all ${processes.length} processes, ${(total / mebibyte).toFixed(0)} MiB of memory, ${files} files`,
    `links: ${links.join(", ")}`,
    `questions: ${endings.map(({ question, outcome }) => `${question.name} ${outcome}`).join(", ")}`,
    ...(holders.size === 0
      ? []
      : [`while one was being answered it was found in: ${[...holders].join("; ")}`]),
    ...faults.map((fault) => `FAULT ${fault}`),
    ...traces.map(describeTrace),
    traces.length === 0 ? "no trace of any canary" : `${traces.length} traces`,
  ];
}

function describeProcess({
  part,
  program,
  pid,
  mappings,
  bytes,
  ownBytes,
  openFiles,
  ended,
}: ProcessReport): string {
  const [all, own] = [bytes, ownBytes].map((size) => (size / mebibyte).toFixed(1));
  const end = ended ? ", ended meanwhile" : "";
  return `${part.padEnd(12)} ${program.padEnd(6)} ${String(pid).padStart(7)}  ${String(mappings).padStart(4)} mappings  ${all?.padStart(6)} MiB, ${own?.padStart(6)} its own  ${openFiles} open files${end}`;
}

function skippedOf(processes: readonly ProcessReport[]): string[] {
  const counts = new Map<string, number>();
  for (const { skipped } of processes) {
    for (const [reason, count] of skipped) counts.set(reason, (counts.get(reason) ?? 0) + count);
  }
  return [...counts].map(([reason, count]) => `not read: ${count} mappings: ${reason}`);
}

function describeTrace({ canary, encoding, where, context }: Trace): string {
  return `TRACE ${canary}, in ${encoding}, in ${where}: ${context}`;
}
