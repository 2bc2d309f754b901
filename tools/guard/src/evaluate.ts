// `npm run eval:guard`: what the guard misses and what it refuses wrongly, on text that no training has seen.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { classifierUrl, openGuard, policyUrl } from "@sotto/guard";
import { type Evaluation, evaluateAll, percent } from "./evaluation.ts";
import { folders, readExamples } from "./examples.ts";

const help = `Judges the held-out examples and prints the rates of misses and of false refusals.

  npm run eval:guard

  --classifier <file>  another classifier than the one that Sotto ships
  --help               this text

Exit codes: 0 at most 3 % missed and 5 % refused wrongly, 1 more, 2 wrong usage.
`;

function readArguments() {
  try {
    return parseArgs({
      options: { classifier: { type: "string" }, help: { type: "boolean", default: false } },
    }).values;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : "wrong arguments"}\n\n${help}`);
    return process.exit(2);
  }
}

function row(name: string, { missed, refused }: Evaluation): string {
  const cell = (rate: Evaluation["missed"]): string =>
    rate.total === 0
      ? "".padStart(20)
      : `${percent(rate).toFixed(1)} %`.padStart(8) + `${rate.wrong} of ${rate.total}`.padStart(12);
  return `  ${name.padEnd(36)}${cell(missed)}${cell(refused)}`;
}

const values = readArguments();
if (values.help) {
  process.stdout.write(help);
  process.exit(0);
}
const guard = openGuard({
  policy: readFileSync(policyUrl),
  classifier: readFileSync(values.classifier ?? classifierUrl),
});
const examples = readExamples(folders.heldOut);
const started = performance.now();
for (const { text } of examples) guard.judge(text);
const perText = (performance.now() - started) / examples.length;
const { byFile, byObfuscation } = evaluateAll(guard, examples);
const overall = byObfuscation.get("none");
if (overall === undefined) throw new Error("no evaluation without an obfuscation");
console.log(`${"".padEnd(38)}${"missed".padStart(20)}${"refused wrongly".padStart(20)}`);
for (const [file, evaluation] of byFile) console.log(row(file, evaluation));
console.log(row("all", overall));
console.log();
for (const [name, evaluation] of byObfuscation) console.log(row(name, evaluation));
console.log(`\n${perText.toFixed(3)} ms a text`);
process.exit(percent(overall.missed) <= 3 && percent(overall.refused) <= 5 ? 0 : 1);
