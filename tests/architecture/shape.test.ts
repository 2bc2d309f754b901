import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readSources, root } from "./sources.ts";

const sources = readSources();

test("no file is longer than 500 lines, and the median source file is short", () => {
  const lengths = sources.map(({ path, text }) => ({ path, lines: text.split("\n").length }));
  assert.deepEqual(
    lengths.filter(({ lines }) => lines > 500),
    [],
  );
  const own = lengths
    .filter(({ path }) => path.includes("/src/"))
    .map(({ lines }) => lines)
    .sort((a, b) => a - b);
  const median = own[Math.floor(own.length / 2)] ?? 0;
  assert.ok(median <= 120, `median is ${median}`);
});

test("main.ts is at most 80 lines, index.ts holds exports only", () => {
  for (const { path, text } of sources) {
    if (path.endsWith("/main.ts")) assert.ok(text.split("\n").length <= 81, path);
    if (path.endsWith("/index.ts")) {
      const other = text.split("\n").filter((line) => line !== "" && !/^(export|\/\/| {2}|\})/.test(line));
      assert.deepEqual(other, [], path);
    }
  }
});

test("no banned words: unfinished work, escape hatches, banned names", () => {
  const banned = /(^|\/)(utils?|helpers?|common|shared|core|misc|types|lib|manager)(\.|\/)/;
  for (const { path, text, isTest } of sources) {
    assert.ok(!banned.test(path), `${path}: banned name`);
    if (path.startsWith("tests/architecture/")) continue;
    assert.ok(!/\b(TODO|FIXME|XXX|HACK)\b/.test(text), `${path}: unfinished work`);
    assert.ok(!/@ts-(ignore|nocheck)/.test(text), `${path}: switches the compiler off`);
    assert.ok(!/\b(test|it|describe)\.(only|todo)\b/.test(text), `${path}: test left open`);
    // In a test it shows that something does not compile, and fails when it does.
    if (!isTest) assert.ok(!/@ts-expect-error/.test(text), `${path}: switches the compiler off`);
    if (!isTest) assert.ok(!/: any\b|\bas any\b|<any>/.test(text), `${path}: any`);
  }
});

test("every file says what it is, and names are kebab-case nouns", () => {
  for (const { path, text, isTest } of sources) {
    const name = path.slice(path.lastIndexOf("/") + 1);
    assert.match(name, /^[a-z0-9]+(-[a-z0-9]+)*(\.(node|browser|test|development))?\.ts$/, path);
    const small = text.split("\n").length < 25 || name === "index.ts";
    if (!isTest && !small) assert.ok(text.startsWith("//"), `${path} has no header`);
  }
});

test("comments cite only specifications that spec/README.md pins", () => {
  const pinned = readFileSync(join(root, "spec/README.md"), "utf8");
  const reference = /\((RFC \d+|draft-[a-z0-9-]+|C2SP [a-z-]+|SNP ABI [\d.]+|FIPS \d+-\d+)/g;
  const missing = sources.flatMap(({ path, text }) =>
    [...text.matchAll(reference)]
      .map((match) => match[1] ?? "")
      .filter((name) => !pinned.includes(name))
      .map((name) => `${path}: ${name}`),
  );
  assert.deepEqual([...new Set(missing)], []);
});

test("the code map of ARCHITECTURE.md has one line for every folder, and no others", () => {
  const map = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
  const named = [...map.matchAll(/^- `((?:protocol|clients|services|tools)\/[a-z]+)`/gm)].map(
    (match) => match[1],
  );
  const actual = ["protocol", "clients", "services", "tools"].flatMap((tier) =>
    readdirSync(join(root, tier), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => `${tier}/${entry.name}`),
  );
  assert.deepEqual(named.toSorted(), actual.toSorted());
});

test("every service says what it sees, never sees, stores and logs", () => {
  for (const service of readdirSync(join(root, "services"))) {
    if (["kit", "attester", "sealed"].includes(service)) continue; // parts of services
    const path = join(root, "services", service, "README.md");
    assert.ok(existsSync(path), `${service} has no README.md`);
    const text = readFileSync(path, "utf8").toLowerCase();
    for (const word of ["sees", "never sees", "stores", "logs"])
      assert.ok(text.includes(word), `${service}: ${word}`);
  }
});

test("links between documents lead somewhere", () => {
  const documents = [
    "README.md",
    "ARCHITECTURE.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "docs/threat-model.md",
    "spec/README.md",
  ];
  for (const document of documents) {
    const text = readFileSync(join(root, document), "utf8");
    for (const [, target = ""] of text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
      if (/^https?:/.test(target)) continue;
      assert.ok(existsSync(join(root, document, "..", target)), `${document}: ${target}`);
    }
  }
});

test("the lock file names no registry host", () => {
  const lock = readFileSync(join(root, "package-lock.json"), "utf8");
  assert.ok(!/"resolved": *"https?:/.test(lock));
});
