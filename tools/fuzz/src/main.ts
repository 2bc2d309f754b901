// `npm run fuzz -- handshake`: a server made by chance against our TLS client and OpenSSL's; fails where ours takes what
// OpenSSL refuses, or throws what it should not.
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { attackNode } from "../../../protocol/tls/test/attacked-node.ts";
import { attackSotto } from "../../../protocol/tls/test/attacked-sotto.ts";
import { runCampaign } from "./campaign.ts";
import { createCase, describeCase } from "./handshake-case.ts";
import { renderCampaign, renderFailure } from "./report.ts";

const options = {
  cases: { type: "string", default: "100000" },
  seed: { type: "string" },
  only: { type: "string" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

const help = `Lets a hostile TLS server, changed by chance, meet our client and node:tls, and compares them.

  npm run fuzz -- handshake [options]

  --cases <number>  how many (default ${options.cases.default})
  --seed <number>   where chance begins (default: chance)
  --only <number>   this case of the seed alone, in words
  --json            print one JSON document
  --help            this text

Exit codes: 0 nothing found, 1 ours takes what OpenSSL refuses, or breaks, 2 wrong usage.
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

function readNumber(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) refuse(`--${name}: a number`);
  return Number(text);
}

const { values, positionals } = readArguments();
if (values.help) {
  process.stdout.write(help);
  process.exit(0);
}
if (positionals.length !== 1 || positionals[0] !== "handshake") refuse("say what to fuzz: handshake");
const seed = values.seed === undefined ? randomInt(1_000_000_000) : readNumber("seed", values.seed);
const only = values.only === undefined ? undefined : readNumber("only", values.only);
if (only !== undefined) process.stderr.write(`${describeCase(createCase(seed, only)).join("\n")}\n\n`);
const from = only ?? 0;
const to = only === undefined ? readNumber("cases", values.cases) : only + 1;
process.stderr.write(`seed ${seed}\n`);
const started = performance.now();
let shown = started;
let told = 0;
const campaign = await runCampaign(
  { seed, from, to },
  { sotto: attackSotto, openssl: attackNode },
  (done, failures) => {
    for (const failure of failures.slice(told)) process.stderr.write(`${renderFailure(failure)}\n`);
    told = failures.length;
    if (performance.now() - shown < 5000) return;
    shown = performance.now();
    const rate = Math.round((1000 * done) / (shown - started));
    process.stderr.write(`${done} of ${to - from}, ${rate} a second, ${told} failures\n`);
  },
);
process.stdout.write(values.json ? `${JSON.stringify(campaign)}\n` : renderCampaign(campaign));
process.exit(campaign.failures.length > 0 ? 1 : 0);
