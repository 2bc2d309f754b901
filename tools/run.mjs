// First step of every npm script, written for whatever Node the machine has: installs what is missing
// (Node 26 comes as a package), then runs a TypeScript entry with it.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, "node_modules");
const stamp = join(modules, ".sotto-install");
const engine = "@node-llama-cpp";
const engineBuilds = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "darwin-arm64": "mac-arm64-metal",
  "darwin-x64": "mac-x64",
  "win32-x64": "win-x64",
  "win32-arm64": "win-arm64",
};

function install() {
  const lock = readFileSync(join(root, "package-lock.json"));
  const wanted = createHash("sha256").update(lock).digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  process.stderr.write("Installing what is missing (Node 26, libraries, the CPU build of the engine) ...\n");
  const started = Date.now();
  npm(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
  keepOneEngineBuild();
  writeFileSync(stamp, wanted);
  process.stderr.write(`Installed in ${Math.round((Date.now() - started) / 1000)} s.\n`);
}

// The engine lists builds for other processors as installable here; only this machine's is of use.
function keepOneEngineBuild() {
  const build = engineBuilds[`${process.platform}-${process.arch}`];
  const folder = join(modules, engine);
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    if (name !== build) rmSync(join(folder, name), { recursive: true, force: true });
  }
  if (build === undefined || existsSync(join(folder, build))) return;
  const { version } = JSON.parse(readFileSync(join(modules, "node-llama-cpp", "package.json"), "utf8"));
  npm([
    "install",
    "--no-save",
    "--no-package-lock",
    "--no-audit",
    "--no-fund",
    `${engine}/${build}@${version}`,
  ]);
}

function npm(args) {
  const cli = process.env.npm_execpath;
  const [command, prefix] = cli === undefined ? ["npm", []] : [process.execPath, [cli]];
  const result = spawnSync(command, [...prefix, ...args], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
    shell: cli === undefined && process.platform === "win32",
  });
  if (result.status !== 0) {
    process.stderr.write("Installing failed. Is the package registry reachable? Try `npm ci` to see more.\n");
    process.exit(1);
  }
}

install();
const [entry, ...args] = process.argv.slice(2);
if (entry !== "--install") {
  const node = join(modules, "node", "bin", process.platform === "win32" ? "node.exe" : "node");
  const child = spawn(node, [join(root, entry), ...args], {
    cwd: process.env.INIT_CWD ?? root,
    stdio: "inherit",
    env: { ...process.env, NODE_NO_WARNINGS: "1" },
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === null ? 1 : 130)));
}
