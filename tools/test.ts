// `npm test`: format and lint, types, then every test; `npm test -- PATTERN...` runs matching test files only.
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const patterns = process.argv.slice(2);
const files = globSync("{protocol,clients,services,tools,tests}/**/*.test.ts", {
  cwd: root,
  exclude: (name) => name.includes("node_modules"),
}).filter((file) => patterns.length === 0 || patterns.some((pattern) => file.includes(pattern)));

function step(title: string, command: string, args: readonly string[]): void {
  console.error(`\n> ${title}`);
  const started = Date.now();
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (result.status !== 0) {
    console.error(`${title}: failed`);
    process.exit(result.status ?? 1);
  }
  console.error(`${title}: ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

if (patterns.length === 0) {
  step("format and lint", process.execPath, [join(root, "node_modules/@biomejs/biome/bin/biome"), "ci", "."]);
  step("types", process.execPath, [join(root, "node_modules/typescript/bin/tsc")]);
}
step(`tests (${files.length} files)`, process.execPath, [
  "--test",
  "--test-concurrency=2",
  "--test-timeout=180000", // what hangs fails, and is named
  "--openssl-config=protocol/ratls/openssl.cnf",
  "--disable-warning=ExperimentalWarning",
  "--test-reporter=spec",
  ...files,
]);
