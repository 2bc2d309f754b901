// The measurement names what runs: nothing of it can change unseen, and what is beside it does not matter.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { measureService, type ServiceImage, TeeError, type TeeErrorCode } from "@sotto/tee";
import { createClone, createFolder, linkWorkspace, write } from "./clone.ts";

const clone = createClone();
const original = await measureService(clone);

/** A copy of the clone, changed. */
function changed(change: (root: string) => void): ServiceImage {
  const root = createFolder();
  cpSync(clone.root, root, { recursive: true, verbatimSymlinks: true });
  change(root);
  return { ...clone, root, config: join(root, "config.json"), weights: [join(root, "model.gguf")] };
}

const main = "services/toy/src/main.ts";
const changes: Record<string, (root: string) => void> = {
  "a byte of the service": (root) => write(root, main, "export const answer = 41;\n"),
  "its package.json": (root) =>
    write(root, "services/toy/package.json", { name: "x", dependencies: { left: "1" } }),
  "a byte of a library": (root) => write(root, "protocol/base/src/index.ts", "export {}\n"),
  "a byte of a package": (root) => write(root, "node_modules/left/index.js", "module.exports = 3;\n"),
  "a byte of a package's test": (root) => write(root, "node_modules/left/test/index.js", "\n"),
  "a byte of a nested package": (root) => write(root, "node_modules/left/node_modules/right/cli.js", "\n"),
  "a file added to the service": (root) => write(root, "services/toy/src/new.ts", ""),
  "a file added to a library": (root) => write(root, "protocol/base/src/deep/new.ts", ""),
  "a file added to a package": (root) => write(root, "node_modules/left/new.js", ""),
  "a file renamed": (root) => renameSync(join(root, main), join(root, "services/toy/src/main2.ts")),
  "two files swapped": (root) => {
    write(root, main, "export const answer = 43;\n");
    write(root, "services/toy/src/other.ts", "export const answer = 42;\n");
  },
  "a file removed": (root) => rmSync(join(root, "services/toy/src/other.ts")),
  "a package put before another": (root) => write(root, "services/toy/node_modules/left/package.json", {}),
  "a library put before the workspace": (root) =>
    write(root, "services/toy/node_modules/@sotto/base/package.json", {}),
  "an optional package that appears": (root) => write(root, "node_modules/absent/package.json", {}),
  "a workspace link that leads elsewhere": (root) => {
    cpSync(join(root, "protocol/base"), join(root, "protocol/evil"), { recursive: true });
    rmSync(join(root, "node_modules/@sotto/base"));
    linkWorkspace(root, "base", "protocol/evil");
  },
  "the configuration": (root) => write(root, "config.json", { model: "two" }),
  "the model": (root) => write(root, "model.gguf", "GGUF Weights"),
};

for (const [name, change] of Object.entries(changes)) {
  test(`another measurement: ${name}`, async () => {
    const image = changed(change);
    const entry = name === "a file renamed" ? "src/main2.ts" : undefined;
    const { measurement, code, config, weights } = await measureService({ ...image, entry });
    assert.notEqual(measurement, original.measurement);
    const outside = name === "the configuration" || name === "the model";
    assert.equal(code === original.code, outside, "the code digest is of the code");
    assert.equal(config === original.config, name !== "the configuration");
    assert.equal(weights[0] === original.weights[0], name !== "the model");
  });
}

test("another measurement: entry, flags, the number and the names of models", async () => {
  const model2 = join(createFolder(), "model2.gguf");
  cpSync(join(clone.root, "model.gguf"), model2);
  const variants: Partial<ServiceImage>[] = [
    { entry: "src/other.ts" },
    { nodeFlags: ["--inspect"] },
    { weights: [] },
    { weights: [model2] },
    { weights: [...clone.weights, model2] },
  ];
  const found = [original.measurement];
  for (const variant of variants) found.push((await measureService({ ...clone, ...variant })).measurement);
  assert.equal(new Set(found).size, variants.length + 1);
});

test("the same measurement: another place, tests, READMEs, and packages that it cannot load", async () => {
  const image = changed((root) => {
    write(root, "services/toy/test/toy.test.ts", "other\n");
    write(root, "services/toy/README.md", "other\n");
    write(root, "services/other/src/main.ts", "other\n");
    write(root, "node_modules/other/index.js", "other\n");
  });
  assert.deepEqual(await measureService(image), original);
});

test("the image lists every file once, by its path and digest", () => {
  const paths = original.files.map(({ path }) => path);
  assert.deepEqual(paths, [...new Set(paths)].sort());
  assert.deepEqual(
    paths.filter((path) => !path.startsWith("node_modules/left/")),
    [
      "config",
      "node",
      "protocol/base/package.json",
      "protocol/base/src/index.ts",
      "services/toy/package.json",
      main,
      "services/toy/src/other.ts",
      "weights/model.gguf",
    ],
  );
  for (const { digest } of original.files) assert.match(digest, /^sha256:[0-9a-f]{64}$/);
  assert.match(original.measurement, /^[0-9a-f]{96}$/);
});

async function refuses(image: ServiceImage, code: TeeErrorCode): Promise<void> {
  await assert.rejects(
    measureService(image),
    (error: unknown) => error instanceof TeeError && error.code === code,
  );
}

test("links that lead out of what is measured are refused, and what is not a file", async () => {
  const outside = createFolder();
  write(outside, "package.json", {});
  const link = (target: string, path: string) => (root: string) => {
    rmSync(join(root, path), { recursive: true, force: true });
    symlinkSync(target, join(root, path));
  };
  await refuses(changed(link(join(outside, "package.json"), main)), "foreign-link");
  await refuses(changed(link("other.ts", main)), "foreign-link");
  await refuses(changed(link(outside, "services/toy/src/folder")), "foreign-link");
  await refuses(changed(link("nowhere", "node_modules/left/index.js")), "foreign-link");
  await refuses(changed(link(outside, "node_modules/left")), "foreign-link");
  await refuses(changed(link("other", "node_modules/left")), "foreign-link");
  await refuses(changed(link(outside, "node_modules/@sotto/base")), "foreign-link");
  await refuses(
    changed(link("../../../other/package.json", "node_modules/left/node_modules/.bin/x")),
    "foreign-link",
  );
  await refuses(changed(link("../right/gone.js", "node_modules/left/node_modules/.bin/x")), "foreign-link");
  await refuses(changed(link(outside, "services/toy")), "foreign-link");
  if (process.platform !== "win32") {
    const pipe = (root: string) => execFileSync("mkfifo", [join(root, "services/toy/src/pipe")]);
    await refuses(changed(pipe), "foreign-file");
  }
});

test("what cannot be measured is refused", async () => {
  await refuses({ ...clone, role: "../services/toy" }, "foreign-link");
  await refuses({ ...clone, role: "nobody" }, "unreadable");
  await refuses({ ...clone, entry: "test/toy.test.ts" }, "unreadable");
  await refuses({ ...clone, entry: "../../protocol/base/src/index.ts" }, "unreadable");
  await refuses({ ...clone, config: join(clone.root, "nowhere.json") }, "unreadable");
  await refuses({ ...clone, weights: [...clone.weights, ...clone.weights] }, "malformed");
  await refuses(
    changed((root) => rmSync(join(root, "node_modules/left"), { recursive: true })),
    "missing-package",
  );
  await refuses(
    changed((root) => write(root, "protocol/base/package.json", "{")),
    "unreadable",
  );
  const climbing = { dependencies: { "../../secret": "1" } };
  await refuses(
    changed((root) => write(root, "protocol/base/package.json", climbing)),
    "malformed",
  );
});
