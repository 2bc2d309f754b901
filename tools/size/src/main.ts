// `npm run size`: what a page has to load for the SDK, part by part; fails when it is too much.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { bundleForBrowser } from "@sotto/bundle/browser";
import { isWithinLimit, maxGzipBytes, measureBundle, renderReport } from "./size-report.ts";

const help = `Bundles the browser build of the SDK as an app would, and says what each part of it weighs.

  npm run size -- [options]

  --json  print one JSON document
  --help  this text

A part's gzip size is its own, compressed by itself; shares are of the sum of those.
Exit codes: 0 within ${maxGzipBytes} bytes after gzip -9, 1 over that, 2 wrong usage.
`;

function readArguments() {
  try {
    return parseArgs({
      options: { json: { type: "boolean", default: false }, help: { type: "boolean", default: false } },
    }).values;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : "wrong arguments"}\n\n${help}`);
    process.exit(2);
  }
}

const { json, help: isHelpWanted } = readArguments();
if (isHelpWanted) {
  process.stdout.write(help);
  process.exit(0);
}
const root = join(import.meta.dirname, "..", "..", "..");
const bundle = await bundleForBrowser({ root, entry: "clients/sdk/src/index.browser.ts" });
const report = measureBundle("@sotto/sdk", bundle);
process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : renderReport(report));
process.exitCode = isWithinLimit(report) ? 0 : 1;
