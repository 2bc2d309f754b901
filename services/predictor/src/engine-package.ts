// Finds the build of the embedded engine for this machine.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { CodedError } from "@sotto/base";

/** There is no build of the engine here. */
export class EngineBuildError extends CodedError<"no-engine"> {}

const names: Readonly<Record<string, string>> = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "darwin-arm64": "mac-arm64-metal",
  "darwin-x64": "mac-x64",
  "win32-x64": "win-x64",
  "win32-arm64": "win-arm64",
};

/** The folder of its native libraries; throws `EngineBuildError`. */
export function findEngineBuild(): string {
  const name = names[`${process.platform}-${process.arch}`] ?? "";
  try {
    const main = fileURLToPath(import.meta.resolve(`@node-llama-cpp/${name}`));
    const folder = join(dirname(dirname(main)), "bins", name);
    if (existsSync(join(folder, "llama-addon.node"))) return folder;
  } catch (cause) {
    throw new EngineBuildError("no-engine", "engine: no build for this machine", { cause });
  }
  throw new EngineBuildError("no-engine", "engine: no build for this machine");
}
