// Joins the whole code of a sealed process into one file: such a process may read nothing else, starts in a quarter of
// the time, and what it runs has one digest. The same sources give the same bytes.
import { join } from "node:path";
import { type Plugin, rolldown } from "rolldown";

/** Where the code of a sealed process begins, below the root of the clone. */
export type SealedEntry = {
  readonly root: string;
  readonly entry: string;
};

// The package of the embedded engine can download, compile and try itself out, none of which has a place here: its
// loader, and what that asks for files beside it, are replaced, and what nothing uses then is left out.
const enginePackage = /[\\/]node-llama-cpp[\\/]/;
const loader = /[\\/](getLlama|binariesGithubRelease)\.js$/;
// What is only there to be used; left out where it is not.
const doNothing = [enginePackage, /[\\/]protocol[\\/]/, /[\\/]node_modules[\\/]zod[\\/]/];
const ownLoader = "services/predictor/src/sealed/engine-loader.ts";
const ownLoaderNeeds = "node_modules/node-llama-cpp/dist/bindings/Llama.js"; // and no other part of the package

/** Returns the code; throws when it cannot be joined into one file. */
export async function bundleSealed({ root, entry }: SealedEntry): Promise<string> {
  const engineLoader: Plugin = {
    name: "engine-loader",
    resolveId: (wanted, importer = "") => {
      if (loader.test(wanted) && enginePackage.test(importer)) return join(root, ownLoader);
      if (wanted === "node-llama-cpp" && importer === join(root, ownLoader))
        return join(root, ownLoaderNeeds);
      return null;
    },
  };
  const bundle = await rolldown({
    input: join(root, entry),
    cwd: root,
    platform: "node",
    external: [/^node:/, /\.node$/],
    plugins: [engineLoader],
    treeshake: { moduleSideEffects: (id) => !doNothing.some((path) => path.test(id)) },
    logLevel: "silent",
  });
  try {
    const { output } = await bundle.generate({ format: "cjs", minify: true, codeSplitting: false });
    const [only, ...more] = output;
    if (more.length > 0) throw new Error("sealed bundle: more than one file");
    return only.code;
  } finally {
    await bundle.close();
  }
}
