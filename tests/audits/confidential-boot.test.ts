// Findings about how the two services that hold text begin: what they are given from outside, and what is measured.
import assert from "node:assert/strict";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { CodedError } from "@sotto/base";
import { ConfigError } from "@sotto/kit";
import fc from "fast-check";
import { loadConfig as loadOrchestrator } from "../../services/orchestrator/src/config.ts";
import { loadConfig as loadPredictor } from "../../services/predictor/src/config.ts";
import { writeBabbleModel } from "../../tools/up/src/babble.ts";
import {
  boot,
  type ConfidentialRole,
  configOf,
  digestOf,
  type Ended,
  type Env,
  environmentOf,
  folder,
  put,
  type Running,
  root,
  sealedOf,
  startModelServer,
} from "../confidential-stage.ts";

const canary = "canary-7263";
const roles = ["orchestrator", "predictor"] as const;
const loaders = { orchestrator: loadOrchestrator, predictor: loadPredictor };
let configs: Readonly<Record<ConfidentialRole, object>>;
let envs: Readonly<Record<ConfidentialRole, Env>>;

before(async () => {
  const model = await startModelServer();
  const engine = { kind: "openai", url: model.url, model: "toy" };
  configs = {
    orchestrator: await configOf("orchestrator"),
    predictor: await configOf("predictor", { engine }),
  };
  envs = {
    orchestrator: await environmentOf("orchestrator", configs.orchestrator),
    predictor: await environmentOf("predictor", configs.predictor),
  };
});

/** Boots two at a time, for there are as many processors. */
async function inTurn<One>(cases: readonly One[], run: (one: One) => Promise<void>): Promise<void> {
  const queue = cases.values();
  const work = async (): Promise<void> => {
    for (const one of queue) await run(one);
  };
  await Promise.all([work(), work()]);
}

/** A boot that failed: one line, of known words only. */
function checkEnd(
  role: ConfidentialRole,
  ended: Running | Ended,
  name: string,
): { exit: number; code: string } {
  assert.ok(!("address" in ended), `${name}: it listens`);
  const line = JSON.parse(ended.output);
  assert.deepEqual([line.event, line.service, line.exit], ["crashed", role, ended.code], name);
  assert.match(ended.output, /^\{[^\n]*\}\n$/, name);
  assert.ok(!ended.output.includes(canary) && !ended.output.includes(folder), `${name}: ${ended.output}`);
  const words =
    /^\{"event":"crashed","service":"[a-z]+","exit":(70|78),"build":"[0-9a-f.]+"(,"code":"[a-z-]+")?/;
  assert.match(ended.output.replace(/,"variables":\["SOTTO_[A-Z]+"(,"SOTTO_[A-Z]+")*\]/, ""), words, name);
  return line;
}

test("13: both boot with what they need, and not with one variable more or one character too many", async () => {
  const hostile: readonly Env[] = [
    { SOTTO_DEBUG: canary },
    { SOTTO_SEALED_ARGS: canary },
    { LD_PRELOAD: "" },
    { LD_LIBRARY_PATH: `/${canary}` },
    { NODE_OPTIONS: "--no-warnings" },
    { NODE_EXTRA_CA_CERTS: "" },
    { SSLKEYLOGFILE: `/tmp/${canary}` },
    { PATH: `/${canary}` },
    { SOTTO_PORT: `0\n${canary}` },
    { SOTTO_RELEASE: `"/${canary}"` },
    { SOTTO_CONFIG: `/${canary.padEnd(5000, "x")}` },
  ];
  for (const role of roles) {
    const started = await boot(role, envs[role]);
    assert.ok("address" in started, JSON.stringify(started));
    assert.equal(await started.stop(), 0);
    assert.equal(started.output(), "");
  }
  // Each gets every other one: that both read their environment in the same way is tested below.
  const cases = hostile.map((bad, index): [ConfidentialRole, Env] => [roles[index % 2] ?? "predictor", bad]);
  await inTurn(cases, async ([role, bad]) => {
    const name = `${role} ${Object.keys(bad)}`;
    const { exit, code } = checkEnd(role, await boot(role, { ...envs[role], ...bad }), name);
    assert.equal(exit, 78, name);
    const isKnown = Object.keys(bad).every((variable) => variable in envs[role]);
    assert.equal(code, isKnown ? "malformed" : "unknown-variable", name);
  });
});

test("13: any other variable, and any value with a control character, a quote or too much of it, is refused", () => {
  const names = fc.oneof(
    fc.constantFrom(
      "LD_PRELOAD",
      "LD_AUDIT",
      "NODE_OPTIONS",
      "NODE_DEBUG",
      "GLIBC_TUNABLES",
      "BASH_ENV",
      "HOME",
    ),
    fc.stringMatching(/^SOTTO_[A-Z]{1,12}$/),
    fc.stringMatching(/^[A-Za-z_]{1,20}$/),
  );
  const values = fc.oneof(
    fc
      .tuple(
        fc.string({ maxLength: 40 }),
        fc.constantFrom(..."\0\t\n\r\x1b\x7f\"'`\\"),
        fc.string({ maxLength: 40 }),
      )
      .map((parts) => parts.join("")),
    fc.constantFrom("x".repeat(1025), "é", "\u2028"),
  );
  for (const role of roles) {
    const load = (env: Env): unknown => loaders[role](env);
    assert.ok(load(envs[role]));
    const refuses = (env: Env): void =>
      assert.throws(
        () => load(env),
        (error: unknown) => {
          assert.ok(error instanceof ConfigError, String(error));
          assert.ok(!error.message.includes(canary));
          return true;
        },
      );
    fc.assert(
      fc.property(names, (name) => {
        fc.pre(!(name in envs[role]) && name !== "SOTTO_SWITCH" && name !== "SOTTO_GUARDS");
        refuses({ ...envs[role], [name]: canary });
      }),
    );
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(envs[role])), values, (name, value) =>
        refuses({ ...envs[role], [name]: value }),
      ),
    );
    for (const name of Object.keys(envs[role])) {
      const { [name]: _left, ...rest } = envs[role];
      refuses(rest);
    }
  }
});

/** A tree with the sources of the two services, in which files may be spoiled. */
function copyTree(): string {
  const tree = mkdtempSync(join(tmpdir(), "sotto-tree-"));
  after(() => rmSync(tree, { recursive: true, force: true }));
  const isNeeded = (path: string): boolean => !["test", "examples", "README.md"].includes(basename(path));
  for (const part of ["protocol", "services"]) {
    cpSync(join(root, part), join(tree, part), { recursive: true, filter: isNeeded });
  }
  const modules = join(tree, "node_modules");
  mkdirSync(join(modules, "@sotto"), { recursive: true });
  for (const name of readdirSync(join(root, "node_modules"))) {
    if (name !== "@sotto") symlinkSync(join(root, "node_modules", name), join(modules, name));
  }
  for (const part of ["protocol", "services"]) {
    for (const name of readdirSync(join(tree, part))) {
      symlinkSync(join(tree, part, name), join(modules, "@sotto", name));
    }
  }
  return tree;
}

/** Ways to spoil a file that leave most of it as it was. */
const spoilers: readonly ((content: Buffer) => Buffer)[] = [
  (content) => {
    const at = Math.floor(content.length / 2);
    content.writeUInt8(content.readUInt8(at) ^ 1, at);
    return content;
  },
  (content) => content.subarray(0, content.length - 1),
  (content) => Buffer.concat([content, Buffer.from("\n")]),
  () => Buffer.from(canary),
];
const spoil = (path: string, how: number): Buffer =>
  spoilers[how % spoilers.length]?.(readFileSync(path)) ?? Buffer.alloc(0);

test("23: with the sealed code corrupted, neither service listens", async () => {
  // Both read it in the same way, so each gets two of the four.
  const cases = [0, 1, 2, 3].map((how): [ConfidentialRole, number] => [roles[how % 2] ?? "predictor", how]);
  await inTurn(cases, async ([role, how]) => {
    const spoiled = put(`spoiled-${role}-${how}.cjs`, spoil(await sealedOf(role), how));
    const name = `${role}, spoiler ${how}`;
    const line = checkEnd(role, await boot(role, { ...envs[role], SOTTO_SEALED: spoiled }), name);
    assert.deepEqual([line.exit, line.code], [70, "not-as-measured"], name);
  });
});

test("23: with the guard's policy or its classifier corrupted, the orchestrator does not listen", async () => {
  const tree = copyTree();
  const started = await boot("orchestrator", envs.orchestrator, { at: tree });
  assert.ok("address" in started, JSON.stringify(started));
  await started.stop();
  const guard = join(tree, "protocol", "guard");
  const files = readdirSync(guard, { recursive: true, encoding: "utf8" })
    .filter((name) => /(^|\/)(policy\.json|[a-z-]+\.bin)$/.test(name))
    .map((name) => join(guard, name));
  assert.deepEqual(files.map((path) => basename(path)).sort(), ["classifier.bin", "policy.json"]);
  for (const path of files) {
    const content = readFileSync(path);
    for (const how of [0, 2]) {
      writeFileSync(path, spoil(path, how));
      const name = `${basename(path)}, spoiler ${how}`;
      const line = checkEnd(
        "orchestrator",
        await boot("orchestrator", envs.orchestrator, { at: tree }),
        name,
      );
      assert.deepEqual([line.exit, line.code], [70, "not-as-measured"], name);
      writeFileSync(path, content);
    }
    rmSync(path);
    const line = checkEnd(
      "orchestrator",
      await boot("orchestrator", envs.orchestrator, { at: tree }),
      "gone",
    );
    assert.deepEqual([line.exit, line.code], [70, "unreadable"], path);
    writeFileSync(path, content);
  }
});

test("23: with a configuration that is corrupted or not wholly understood, neither service listens", async () => {
  const spoiled = (role: ConfidentialRole): [string, string][] => {
    const config = configs[role];
    const text = JSON.stringify(config);
    return [
      ["cut", text.slice(0, -1)],
      ["longer", `${text} ${canary}`],
      ["with an unknown field", JSON.stringify({ ...config, [canary]: true })],
      [
        "of another role",
        JSON.stringify({ ...config, role: role === "predictor" ? "orchestrator" : "guard" }),
      ],
      ["of other code", JSON.stringify({ ...config, sealed: `sha256:${"0".repeat(64)}` })],
    ];
  };
  const cases = roles.flatMap((role, own) =>
    spoiled(role)
      .filter((_, index) => index > 2 || index % 2 === own)
      .map((one): [ConfidentialRole, string, string] => [role, ...one]),
  );
  await inTurn(cases, async ([role, how, text]) => {
    const name = `${role}, ${how}`;
    const env = {
      ...envs[role],
      SOTTO_CONFIG: put(`spoiled-${role}-${how.replaceAll(" ", "-")}.json`, text),
    };
    const line = checkEnd(role, await boot(role, env), name);
    const expected = how === "of other code" ? [70, "not-as-measured"] : [78, "malformed"];
    assert.deepEqual([line.exit, line.code], expected, name);
  });
});

test("23: a byte of a configuration flipped anywhere is refused, or is another measured value", () => {
  for (const role of roles) {
    const text = JSON.stringify(configs[role]);
    for (let at = 0; at < text.length; at += 53) {
      const flipped = `${text.slice(0, at)}${String.fromCharCode(text.charCodeAt(at) ^ 1)}${text.slice(at + 1)}`;
      const SOTTO_CONFIG = put("flipped.json", flipped);
      try {
        const { measured } = loaders[role]({ ...envs[role], SOTTO_CONFIG });
        assert.deepEqual(measured, JSON.parse(flipped), "what is used is what was measured");
      } catch (error) {
        assert.ok(error instanceof CodedError, `${role} at ${at}: ${error}`);
      }
    }
  }
});

test("23: without a release to show, neither service listens", async () => {
  const release = JSON.parse(readFileSync(envs.orchestrator.SOTTO_RELEASE ?? "", "utf8"));
  const spoiled: readonly [string, string][] = [
    ["none", join(folder, "absent")],
    ["no json", put("release-1.json", canary)],
    ["cut", put("release-2.json", JSON.stringify(release).slice(0, -1))],
    ["a field too many", put("release-3.json", { ...release, [canary]: 1 })],
    ["no statement", put("release-4.json", { ...release, statement: "" })],
    ["half a statement", put("release-5.json", { ...release, statement: release.statement.slice(0, 100) })],
    ["no proof", put("release-6.json", { statement: release.statement })],
  ];
  const cases = spoiled.map((one, index): [ConfidentialRole, string, string] => [
    roles[index % 2] ?? "predictor",
    ...one,
  ]);
  await inTurn(cases, async ([role, name, path]) => {
    const line = checkEnd(role, await boot(role, { ...envs[role], SOTTO_RELEASE: path }), name);
    assert.equal(line.exit, 70, name);
    assert.match(line.code, /^(unreadable|not-a-release)$/, name);
  });
});

test("23: with its model corrupted in any way, the predictor does not listen", async () => {
  const model = join(folder, "babble.gguf");
  writeBabbleModel(model);
  const engine = { kind: "llama", name: "babble", digest: digestOf(model), threads: 1 };
  await inTurn([0, 1], async (how) => {
    const path = put(`spoiled-${how}.gguf`, spoil(model, how));
    const config = { ...configs.predictor, engine: { ...engine, path } };
    const env = await environmentOf("predictor", config);
    const line = checkEnd("predictor", await boot("predictor", env), `spoiler ${how}`);
    assert.deepEqual([line.exit, line.code], [70, "model-refused"]);
  });
});
