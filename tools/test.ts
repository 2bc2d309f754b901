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
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  step("types", process.execPath, [compiler]);
  step("types of the build for browsers", process.execPath, [compiler, "--project", "tsconfig.browser.json"]);
}

function runTests(title: string, paths: readonly string[], flags: readonly string[] = []): void {
  step(`${title} (${paths.length} files)`, process.execPath, [
    "--test",
    "--test-concurrency=2",
    "--test-timeout=180000", // what hangs fails, and is named
    "--openssl-config=protocol/ratls/openssl.cnf",
    "--disable-warning=ExperimentalWarning",
    "--test-reporter=spec",
    ...flags,
    ...paths,
  ]);
}

runTests("tests", files);

// What runs in browsers too has other code there, which must pass the same tests.
const builtTwice =
  /^(protocol\/(base|ratls|tls)|clients\/sdk)\/test\/[^/]+\.test\.ts$|^tests\/audits\/(sessions|evidence|handshake-sessions)\.test\.ts$/;
const again = files.filter((file) => builtTwice.test(file));
if (again.length > 0) runTests("tests of the build for browsers", again, ["--conditions=browser"]);
