import assert from "node:assert/strict";
import { test } from "node:test";
import { describePlant, provePlant } from "./plant.ts";
import { describeTrial } from "./report.ts";
import { runTrial } from "./trial.ts";

const elsewhere =
  process.platform === "linux" ? false : "memory of other processes is read as Linux shows it";

test("the scan finds a planted canary in every form and place", { skip: elsewhere }, async (context) => {
  const plant = await provePlant();
  context.diagnostic(describePlant(plant));
  assert.deepEqual(plant.faults, []);
});

test("one second after questions have ended, nothing of them is left", {
  skip: elsewhere,
}, async (context) => {
  const report = await runTrial({ engine: "model server", questions: 6, onStep: () => {} });
  for (const line of describeTrial(report)) context.diagnostic(line);
  assert.deepEqual(report.faults, []);
  assert.deepEqual(report.traces, []);
});
