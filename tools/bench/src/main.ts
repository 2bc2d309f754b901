// `npm run bench -- NAME`: measures one thing against what bounds it, says what was aimed at, fails below it.
import { parseArgs } from "node:util";
import { benchmarks } from "./benchmarks.ts";
import { isMet, renderReport } from "./report.ts";

const options = {
  rounds: { type: "string", default: "7" },
  "round-ms": { type: "string", default: "400" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

const help = `Measures Sotto in alternating rounds of one process. Ratios count, absolute times are this machine's.

  npm run bench -- <name> [options]

${Object.entries(benchmarks)
  .map(([name, { summary }]) => `  ${name.padEnd(10)} ${summary}`)
  .join("\n")}

  --rounds <number>    rounds that are counted, at least 5 (default ${options.rounds.default})
  --round-ms <number>  length of one work in one round (default ${options["round-ms"].default})
  --json               print one JSON document
  --help               this text

Exit codes: 0 every target met, 1 a target missed, 2 wrong usage.
`;

function refuse(reason: string): never {
  process.stderr.write(`${reason}\n\n${help}`);
  process.exit(2);
}

function readArguments() {
  try {
    return parseArgs({ options, allowPositionals: true });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : "wrong arguments");
  }
}

function readNumber(name: string, text: string, least: number): number {
  if (!/^\d{1,6}$/.test(text) || Number(text) < least) refuse(`--${name}: a number of at least ${least}`);
  return Number(text);
}

const { values, positionals } = readArguments();
if (values.help) {
  process.stdout.write(help);
  process.exit(0);
}
const [name, ...more] = positionals;
if (name === undefined || more.length > 0) refuse("give the name of one benchmark");
const benchmark = Object.hasOwn(benchmarks, name) ? benchmarks[name] : undefined;
if (benchmark === undefined) refuse("no benchmark of this name");
const report = await benchmark.run({
  rounds: readNumber("rounds", values.rounds, 5),
  roundMs: readNumber("round-ms", values["round-ms"], 1),
});
const met = report.goals.every(isMet);
process.stdout.write(values.json ? `${JSON.stringify({ ...report, met })}\n` : renderReport(report));
process.exit(met ? 0 : 1);
