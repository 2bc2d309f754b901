// Joins the code of a page or a worker into one file, as an app's own bundler would. The same sources give the same bytes.
import { join } from "node:path";
import { rolldown } from "rolldown";

/** Where the code of a page begins, below the root of the clone. */
export type BrowserEntry = {
  readonly root: string;
  readonly entry: string;
  /** A module unless given; "iife" is a classic script. */
  readonly format?: "esm" | "iife";
};

/** One minified file, and the source map that says which part of it came from where. */
export type BrowserBundle = {
  readonly code: string;
  readonly sources: readonly string[];
  readonly mappings: string;
};

// What is only there to be used; left out where it is not.
const doNothing = /[\\/](protocol|clients)[\\/]|[\\/]node_modules[\\/](zod|hpke|@noble)[\\/]/;

/** Returns the code; throws when it would need something that browsers do not have. */
export async function bundleForBrowser(options: BrowserEntry): Promise<BrowserBundle> {
  const { root, entry, format = "esm" } = options;
  const bundle = await rolldown({
    input: join(root, entry),
    cwd: root,
    platform: "browser",
    treeshake: { moduleSideEffects: (id) => !doNothing.test(id) },
    logLevel: "silent",
  });
  try {
    const { output } = await bundle.generate({
      format,
      minify: true,
      codeSplitting: false,
      sourcemap: true,
      sourcemapPathTransform: (source) => source.replace(/^(\.\.[\\/])+/, ""),
    });
    const file = output.find((candidate) => candidate.type === "chunk");
    if (file?.map === undefined || file.map === null) throw new Error("browser bundle: no code");
    if (file.imports.length > 0)
      throw new Error(`browser bundle: ${file.imports.join(", ")} is left outside`);
    const code = file.code.replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n");
    return { code, sources: file.map.sources, mappings: file.map.mappings };
  } finally {
    await bundle.close();
  }
}
