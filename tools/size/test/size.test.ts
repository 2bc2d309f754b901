import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { bundleForBrowser } from "@sotto/bundle/browser";
import { splitBySource } from "../src/mapped-code.ts";
import {
  isWithinLimit,
  maxGzipBytes,
  measureBundle,
  renderReport,
  type SizeReport,
} from "../src/size-report.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const entry = "clients/sdk/src/index.browser.ts";
const run = promisify(execFile);

test("a page loads at most 80 000 bytes for the SDK, and every byte of that belongs to a part", async () => {
  const bundle = await bundleForBrowser({ root, entry });
  const report = measureBundle("@sotto/sdk", bundle);
  assert.equal(maxGzipBytes, 80_000);
  assert.ok(isWithinLimit(report), renderReport(report));
  const sum = report.parts.reduce((total, { bytes }) => total + bytes, 0);
  assert.equal(sum, report.bytes);
  const names = report.parts.map(({ name }) => name);
  // What a verifying client can't do without; that one is missing would make the number meaningless.
  for (const name of ["tls", "ratls", "attestation", "log", "credentials", "wire", "exchange", "sdk"])
    assert.ok(names.includes(`@sotto/${name}`), name);
  for (const name of ["@noble/post-quantum", "hpke", "zod"]) assert.ok(names.includes(name), name);
  assert.deepEqual(
    names.filter((name) => !name.startsWith("@") && !["hpke", "zod", "bundler"].includes(name)),
    [],
  );
  assert.equal(
    (await bundleForBrowser({ root, entry })).code,
    bundle.code,
    "the same sources, the same bytes",
  );
});

test("a production bundle has no simulated root, nothing of Node's, and nothing that a page may forbid", async () => {
  const { code, sources } = await bundleForBrowser({ root, entry });
  assert.deepEqual(
    sources.filter((source) => /software|development|\.node\.ts$/.test(source)),
    [],
  );
  assert.doesNotMatch(code, /\bBuffer\b|\bsetImmediate\b|["'`]node:|\bprocess\./);
  assert.doesNotMatch(
    code,
    /\beval\b|\bFunction\b|\bimport\(|\b(local|session)Storage\b|\bindexedDB\b|\bdocument\b/,
  );
});

test("code for Node is not passed off as code for pages", async () => {
  await assert.rejects(bundleForBrowser({ root, entry: "clients/sdk/src/index.ts" }), /left outside/);
});

test("pieces of a file are told apart by its source map, line by line and by distance", () => {
  // Segments: column, source, line, column, each the distance from the last; A is 0, C 1, I 4, K 5.
  const code = "aaaaabbbbb\ncccc?";
  assert.deepEqual(splitBySource(code, "AAAA,KCAA;AAAA,ICAA"), [
    { code: "aaaaa", source: 0 },
    { code: "bbbbb\n", source: 1 },
    { code: "cccc", source: 1 },
    { code: "?", source: 2 },
  ]);
  assert.deepEqual(splitBySource("abc", ""), [{ code: "abc", source: undefined }]);
  assert.throws(() => splitBySource("abc", "A!"), /source map/);
});

test("npm run size prints each part, and JSON for programs", async () => {
  const main = join(root, "tools/size/src/main.ts");
  const table = await run(process.execPath, [main]);
  assert.match(table.stdout, /@sotto\/attestation +[\d ]+ +[\d.]+ %/);
  assert.match(table.stdout, /within the limit of 80 000/);
  const json = await run(process.execPath, [main, "--json"]);
  const report: SizeReport = JSON.parse(json.stdout);
  assert.ok(report.parts.length > 8 && report.gzipBytes > 1000);
  assert.match((await run(process.execPath, [main, "--help"])).stdout, /npm run size/);
  await assert.rejects(run(process.execPath, [main, "--other"]), { code: 2 });
  assert.ok(!isWithinLimit({ ...report, gzipBytes: maxGzipBytes + 1 }));
  assert.match(renderReport({ ...report, gzipBytes: maxGzipBytes + 1 }), /OVER the limit/);
});
