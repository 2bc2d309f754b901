// `npm run test:soak [-- REQUESTS]`: a thousand requests, fifty at once, with sealed processes killed all along.
// Two thousand and more also show whether memory comes down to the same floor.
import { describeSoak } from "./report.ts";
import { runSoak } from "./soak.ts";

const [given = "1000"] = process.argv.slice(2);
const report = await runSoak({
  requests: Number(given),
  atOnce: 50,
  killEveryMs: 300,
  onStep: (text) => process.stdout.write(`${text}\n`),
});
for (const line of describeSoak(report)) process.stdout.write(`${line}\n`);
process.exitCode = report.faults.length > 0 ? 1 : 0;
