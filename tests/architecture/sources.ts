// The sources of the repository as the architecture tests see them.
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const root: string = join(import.meta.dirname, "..", "..");

export type Source = {
  readonly path: string;
  readonly tier: string;
  readonly folder: string;
  readonly isTest: boolean;
  readonly text: string;
  readonly imports: readonly { readonly from: string; readonly line: number }[];
};

const importPattern =
  /(?:^|\n)\s*(?:import|export)\s[^;]*?from\s+"([^"]+)"|import\(\s*"([^"]+)"\s*\)|(?:^|\n)\s*import\s+"([^"]+)"/g;

/** Every TypeScript file of the house, with its imports. */
export function readSources(): Source[] {
  const paths = globSync("{protocol,clients,services,tools,tests}/**/*.ts", {
    cwd: root,
    exclude: (name) => name === "node_modules",
  });
  return paths.sort().map((path) => {
    const text = readFileSync(join(root, path), "utf8");
    const [tier = "", folder = ""] = path.split("/");
    const imports = [...text.matchAll(importPattern)].map((match) => ({
      from: match[1] ?? match[2] ?? match[3] ?? "",
      line: text.slice(0, match.index).split("\n").length + 1,
    }));
    return { path, tier, folder, isTest: tier === "tests" || path.includes("/test/"), text, imports };
  });
}
