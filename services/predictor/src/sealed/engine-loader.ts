// Stands in the bundle for the module of node-llama-cpp that loads its addon. That one first tries the addon out in
// another process and looks for files beside itself; a sealed process can do neither, and is told where the addon is.
import { createRequire } from "node:module";
import { join } from "node:path";
import { Llama, type LlamaLogLevel } from "node-llama-cpp";
import { readArguments } from "./arguments.ts";

type Options = { readonly maxThreads: number; readonly logLevel: LlamaLogLevel };

/** Loads the addon from where the arguments say; throws what loading throws. */
export async function getLlama({ maxThreads, logLevel }: Options): Promise<Llama> {
  const { build } = readArguments();
  if (build === undefined) throw new Error("no engine build for this machine");
  const bindingPath = join(build, "llama-addon.node");
  const load = createRequire(import.meta.url);
  // What `getLlama` itself calls; not in the types, and the package's version is pinned.
  const { _create } = Llama as unknown as { _create(given: object): Promise<Llama> };
  return _create.call(Llama, {
    bindings: load(bindingPath),
    bindingPath,
    buildType: "prebuilt",
    buildMetadata: load(join(build, "_nlcBuildMetadata.json")),
    logLevel,
    logger: () => {},
    maxThreads,
    vramPadding: 0,
    ramPadding: 0,
    debug: false,
    numa: false,
    tempDir: false,
  });
}

/** The rest of the package asks here for an engine without a model; nothing that is used here does. */
export async function getLlamaForOptions(): Promise<never> {
  throw new Error("no engine without a model");
}

// Which release the package would download.
export const builtinLlamaCppRelease = "none";
export const defaultLlamaCppRelease = "none";
export const getBinariesGithubRelease = async (): Promise<string> => "none";
export const setBinariesGithubRelease = async (): Promise<void> => {};
