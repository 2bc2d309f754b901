// `npm run test:canary`: what is left of a question one second after it has ended, in both kinds of engine.
import { describePlant, provePlant } from "./plant.ts";
import { describeTrial } from "./report.ts";
import { runTrial } from "./trial.ts";

const questions = 20;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function main(): Promise<number> {
  const plant = await provePlant();
  say(describePlant(plant));
  let failed = plant.faults.length > 0;
  for (const engine of ["model server", "built-in"] as const) {
    say(`\n${engine}`);
    const report = await runTrial({ engine, questions, onStep: (text) => say(`  ${text}`) });
    for (const line of describeTrial(report)) say(`  ${line}`);
    failed ||= report.traces.length > 0 || report.faults.length > 0;
  }
  say(failed ? "\nfailed" : "\nnothing was left");
  return failed ? 1 : 0;
}

process.exitCode = await main();
