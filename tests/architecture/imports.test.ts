import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { rules, thirdParty } from "./rules.ts";
import { readSources, root, type Source } from "./sources.ts";

const sources = readSources();
const production = sources.filter(({ isTest, tier }) => !isTest && tier !== "tools");

function violations(check: (source: Source, from: string) => string | undefined): string[] {
  return production.flatMap((source) =>
    source.imports.flatMap(({ from, line }) => {
      const why = check(source, from);
      return why === undefined ? [] : [`${source.path}:${line} imports ${from}: ${why}`];
    }),
  );
}

function packageOf(from: string): string | undefined {
  if (from.startsWith(".") || from.startsWith("#") || from.startsWith("node:")) return undefined;
  return from.startsWith("@") ? from.split("/").slice(0, 2).join("/") : from.split("/")[0];
}

test("every folder imports only what the table allows", () => {
  const found = violations(({ folder }, from) => {
    const name = packageOf(from);
    if (name === undefined || !name.startsWith("@sotto/")) return undefined;
    const rule = rules[folder];
    if (rule === undefined) return "its folder has no rule";
    return rule.may.includes(name.slice("@sotto/".length)) ? undefined : rule.because;
  });
  assert.deepEqual(found, []);
});

test("a planted import of the codec by the relay would be found", () => {
  assert.ok(!rules.relay?.may.includes("wire"));
  assert.ok(!rules.predictor?.may.includes("credentials"));
});

test("third-party packages stand in the allow-list with a reason", () => {
  const found = violations(({ folder }, from) => {
    const name = packageOf(from);
    if (name === undefined || name.startsWith("@sotto/")) return undefined;
    return thirdParty[folder]?.[name] === undefined ? "not in the allow-list" : undefined;
  });
  assert.deepEqual(found, []);
});

test("the rules name only what exists, and everything that exists", () => {
  const folders = ["protocol", "clients", "services"].flatMap((tier) => readdirSync(join(root, tier)));
  assert.deepEqual(Object.keys(rules).sort(), folders.sort());
  for (const [folder, packages] of Object.entries(thirdParty)) {
    const tier = ["protocol", "clients", "services"].find((name) => existsSync(join(root, name, folder)));
    const manifest = JSON.parse(readFileSync(join(root, tier ?? "", folder, "package.json"), "utf8"));
    assert.deepEqual(
      Object.keys(manifest.dependencies)
        .filter((name) => !name.startsWith("@sotto/"))
        .sort(),
      Object.keys(packages).sort(),
      `${folder}/package.json lists exactly its third-party packages`,
    );
  }
});

test("what is imported is declared in the folder's package.json, and nothing else is", () => {
  for (const [folder, rule] of Object.entries(rules)) {
    const source = production.find((candidate) => candidate.folder === folder);
    if (source === undefined) continue;
    const manifest = JSON.parse(readFileSync(join(root, source.tier, folder, "package.json"), "utf8"));
    const declared = Object.keys(manifest.dependencies).filter((name) => name.startsWith("@sotto/"));
    const used = new Set(
      production
        .filter((candidate) => candidate.folder === folder)
        .flatMap(({ imports }) => imports.map(({ from }) => packageOf(from) ?? ""))
        .filter((name) => name.startsWith("@sotto/")),
    );
    assert.deepEqual(declared.sort(), [...used].sort(), `${folder}/package.json declares what it uses`);
    for (const name of declared)
      assert.ok(rule.may.includes(name.slice("@sotto/".length)), `${folder}: ${name}`);
  }
});

test("no deep imports into another package", () => {
  assert.deepEqual(
    violations((_source, from) =>
      /^@sotto\/[a-z]+\/src/.test(from) ? "import the package, not its files" : undefined,
    ),
    [],
  );
});

test("protocol/ is bytes in, values out", () => {
  const found = production
    .filter(({ tier }) => tier === "protocol")
    .flatMap(({ path, text, imports }) => {
      const why: string[] = [];
      const node = imports.some(({ from }) => from.startsWith("node:"));
      if (node && !path.endsWith(".node.ts")) why.push("imports node: outside *.node.ts");
      if (/\bconsole\.|\bprocess\.env\b/.test(text)) why.push("prints or reads the environment");
      if (/from "node:(net|http|https|http2|dgram|fs|child_process)/.test(text))
        why.push("opens sockets or files");
      return why.map((reason) => `${path}: ${reason}`);
    });
  assert.deepEqual(found, []);
});

test("only config.ts reads the environment", () => {
  const emptiesIt = "services/sealed/src/child/lockdown.ts";
  const found = production
    .filter(
      ({ tier, path, text }) =>
        tier !== "clients" &&
        !path.endsWith("/config.ts") &&
        path !== emptiesIt &&
        /process\.env\b/.test(text),
    )
    .map(({ path }) => path);
  assert.deepEqual(found, []);
});

test("simulated hardware is reachable from development entries only", () => {
  const found = violations(({ path, folder }, from) => {
    if (from !== "@sotto/attestation/software" && from !== "@sotto/sdk/development") return undefined;
    const allowed = /development\.ts$/.test(path) || (folder === "cli" && from === "@sotto/sdk/development");
    return allowed ? undefined : "a production build must not contain a test anchor";
  });
  assert.deepEqual(found, []);
});

test("files inside a package do not import each other in circles", () => {
  const edges = new Map<string, string[]>();
  for (const { path, imports } of production) {
    const base = path.slice(0, path.lastIndexOf("/"));
    const targets = imports.filter(({ from }) => from.startsWith(".")).map(({ from }) => join(base, from));
    edges.set(path, targets);
  }
  const state = new Map<string, "open" | "done">();
  const visit = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === "done") return;
    assert.notEqual(state.get(path), "open", `circle: ${[...trail, path].join(" -> ")}`);
    state.set(path, "open");
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    state.set(path, "done");
  };
  for (const path of edges.keys()) visit(path, []);
});
