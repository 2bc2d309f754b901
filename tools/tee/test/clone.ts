// A small clone for tests: one service, what it depends on, and packages that it does not.
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { after } from "node:test";
import type { ServiceImage } from "../src/measurement.ts";
import { findPackageClosure } from "../src/package-closure.ts";

const base = mkdtempSync(join(tmpdir(), "sotto-tee-test-"));
after(() => rmSync(base, { recursive: true, force: true }));

/** A new folder below the tests' own, removed at the end. */
export function createFolder(): string {
  return mkdtempSync(join(base, "x-"));
}

export function write(root: string, path: string, content: string | object): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), typeof content === "string" ? content : JSON.stringify(content));
}

/** `services/toy` on `protocol/base`, with `left` as its package, which has `right` in itself; `other` is unused. */
export function createClone(): ServiceImage & { readonly weights: string[] } {
  const root = createFolder();
  write(root, "services/toy/package.json", {
    name: "@sotto/toy",
    dependencies: { "@sotto/base": "1", left: "1" },
  });
  write(root, "services/toy/src/main.ts", "export const answer = 42;\n");
  write(root, "services/toy/src/other.ts", "export const answer = 43;\n");
  write(root, "services/toy/test/toy.test.ts", "tested\n");
  write(root, "services/toy/README.md", "read\n");
  write(root, "protocol/base/package.json", { name: "@sotto/base", optionalDependencies: { absent: "1" } });
  write(root, "protocol/base/src/index.ts", "export {};\n");
  write(root, "node_modules/left/package.json", { name: "left", dependencies: { right: "1" } });
  write(root, "node_modules/left/index.js", "module.exports = 1;\n");
  write(root, "node_modules/left/test/index.js", "module.exports = 2;\n");
  write(root, "node_modules/left/node_modules/right/package.json", { name: "right" });
  write(root, "node_modules/left/node_modules/right/cli.js", "console.log(1);\n");
  mkdirSync(join(root, "node_modules/left/node_modules/.bin"));
  symlinkSync("../right/cli.js", join(root, "node_modules/left/node_modules/.bin/right"));
  write(root, "node_modules/other/package.json", { name: "other" });
  linkWorkspace(root, "base", "protocol/base");
  write(root, "config.json", { model: "one" });
  write(root, "model.gguf", "GGUF weights");
  return { root, role: "toy", config: join(root, "config.json"), weights: [join(root, "model.gguf")] };
}

/** A service of this text that runs on a real part of services, `services/kit` unless given, copied with all that it needs. */
export function createRunnableClone(main: string, part = "kit"): ServiceImage {
  const root = createFolder();
  const project = join(import.meta.dirname, "..", "..", "..");
  for (const { folder, ours } of findPackageClosure(project, `services/${part}`)) {
    const path = relative(project, folder);
    cpSync(folder, join(root, path), { recursive: true, filter: (source) => !source.endsWith("/test") });
    if (ours) linkWorkspace(root, path.slice(path.lastIndexOf("/") + 1), path);
  }
  write(root, "services/toy/package.json", {
    name: "@sotto/toy",
    type: "module",
    dependencies: { [`@sotto/${part}`]: "1" },
  });
  write(root, "services/toy/src/main.ts", main);
  write(root, "config.json", {});
  write(root, "release.json", {});
  return { root, role: "toy", config: join(root, "config.json") };
}

export function linkWorkspace(root: string, name: string, target: string): void {
  mkdirSync(join(root, "node_modules/@sotto"), { recursive: true });
  symlinkSync(join("..", "..", target), join(root, "node_modules/@sotto", name));
}
