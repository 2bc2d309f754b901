import assert from "node:assert/strict";
import { test } from "node:test";
import { describeSoak } from "./report.ts";
import { runSoak } from "./soak.ts";

const elsewhere =
  process.platform === "linux" ? false : "processes are found and counted as Linux shows them";

test("with sealed processes killed at random every client gets an answer or a clear error", {
  skip: elsewhere,
}, async (context) => {
  const report = await runSoak({ requests: 60, atOnce: 20, killEveryMs: 250, onStep: () => {} });
  for (const line of describeSoak(report)) context.diagnostic(line);
  assert.deepEqual(report.faults, []);
});
