// `sotto guard [PROMPT...]`: what the safety guard says, without a stack: the same files and code as in the service.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { classifierUrl, openGuard, policyUrl, type Verdict } from "@sotto/guard";
import { Command } from "commander";
import { note, paint } from "./terminal.ts";

type GuardOptions = { readonly json?: boolean; readonly summary?: boolean };

export function guardCommand(): Command {
  return new Command("guard")
    .description("judge prompts by the safety policy, one a line, and print one verdict a line")
    .argument("[prompts...]", "the prompts; without any, every line of standard input is one")
    .option("--json", "print one line of JSON for each prompt")
    .option("--summary", "count the verdicts on standard error at the end")
    .action(async (prompts: string[], options: GuardOptions) => {
      const guard = openGuard({ policy: readFileSync(policyUrl), classifier: readFileSync(classifierUrl) });
      const counts = new Map<string, number>();
      const count = (name: string): void => void counts.set(name, (counts.get(name) ?? 0) + 1);
      for await (const prompt of prompts.length > 0 ? prompts : createInterface({ input: process.stdin })) {
        const verdict = guard.judge(prompt);
        count(verdict.decision);
        if (verdict.decision === "refuse") count(verdict.hazard);
        process.stdout.write(options.json === true ? `${lineOf(verdict)}\n` : `${wordsOf(verdict)}\n`);
      }
      if (options.summary === true) printSummary(counts);
    });
}

function lineOf(verdict: Verdict): string {
  if (verdict.decision === "allow") return JSON.stringify(verdict);
  const { decision, hazard, layer, score } = verdict;
  return JSON.stringify({ decision, hazard, layer, score: Number(score.toFixed(3)) });
}

function wordsOf(verdict: Verdict): string {
  if (verdict.decision === "allow") return paint("allow", "good");
  return `${paint("refuse", "bad")}  ${verdict.hazard}  ${verdict.layer}  ${verdict.score.toFixed(3)}`;
}

function printSummary(counts: ReadonlyMap<string, number>): void {
  const refused = counts.get("refuse") ?? 0;
  const judged = refused + (counts.get("allow") ?? 0);
  note(`${judged} judged, ${refused} refused, ${judged - refused} allowed`);
  for (const [name, number] of [...counts].sort(([, left], [, right]) => right - left)) {
    if (name !== "refuse" && name !== "allow") note(`${String(number).padStart(6)}  ${name}`);
  }
}
