// Real sealed processes, those that behave and those that do not.
import assert from "node:assert/strict";
import { type SpawnOptions, spawn } from "node:child_process";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { type SandboxLayer, sandboxLayers } from "@sotto/attestation";
import { encodeUtf8 } from "@sotto/base";
import {
  messageType,
  requireLayers,
  type SandboxOptions,
  type SandboxTools,
  SealedError,
  type SealedProcess,
  startSealed,
} from "@sotto/sealed";
import {
  bundleFixture,
  folder,
  listen,
  openDescriptors,
  root,
  sandboxFor,
  startChild,
  tools,
  withoutBwrap,
} from "./children.ts";

const code = await bundleFixture("unruly");
const nothing: SandboxTools = { bwrap: undefined, prlimit: undefined, setpriv: undefined };
const isLinux = process.platform === "linux";
const onLinux = { skip: isLinux ? false : "only Linux tells of its processes" };
const start = (behaviour: string, given: SandboxTools = tools, more: Partial<SandboxOptions> = {}) =>
  startChild({ sandbox: { ...sandboxFor(code, behaviour), ...more }, tools: given });
const without = (...missing: readonly SandboxLayer[]): SandboxLayer[] =>
  sandboxLayers.filter((layer) => !missing.includes(layer));
const isStartFailure = (error: unknown): boolean =>
  error instanceof SealedError && error.code === "start-failed";

/** Whether a process of this number is there, and not only its exit code for a parent that may ask. */
function exists(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** Waits until a process has ended and the kernel knows it no more. */
async function gone({ ended, pid }: SealedProcess): Promise<number | undefined> {
  const exit = await ended;
  if (!isLinux) return exit;
  for (let turn = 0; turn < 100 && exists(pid); turn += 1)
    await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(!exists(pid), "the process is gone, the one in the namespace too");
  return exit;
}

// What is set up once, for all processes to come, is not theirs.
before(async () => {
  const first = await start("echo");
  first.kill();
  await gone(first);
});

test("every layer is there where the machine has its tools", { skip: withoutBwrap }, async () => {
  const child = await start("echo");
  assert.deepEqual(child.layers, sandboxLayers);
  requireLayers(child);
  child.kill();
  assert.equal(await gone(child), undefined);
});

test(
  "each layer is missing when what makes it is, and a process that lacks one is ended when all are asked for",
  onLinux,
  async () => {
    // Where this process itself may dump no core, neither may a child.
    const inherits = /^Max core file size +0 /m.test(readFileSync("/proc/self/limits", "utf8"));
    const unlimited: SandboxLayer[] = inherits ? ["limits"] : ["core-dumps", "limits"];
    const cases: [SandboxTools, SandboxLayer[]][] = [
      [{ ...tools, bwrap: undefined }, ["namespaces"]],
      [{ ...tools, bwrap: undefined, setpriv: undefined }, ["privileges", "namespaces"]],
      [nothing, ["privileges", "namespaces", ...unlimited]],
    ];
    if (tools.bwrap !== undefined) cases.push([{ ...tools, prlimit: undefined }, unlimited]);
    await Promise.all(
      cases.map(async ([given, missing]) => {
        const child = await start("echo", given);
        assert.deepEqual(child.layers, without(...missing));
        assert.throws(
          () => requireLayers(child),
          (error) => error instanceof SealedError && error.code === "sandbox-incomplete",
        );
        await gone(child);
      }),
    );
  },
);

test(
  "a process is believed what only it can know, and the kernel is asked for the rest",
  onLinux,
  async () => {
    const child = await start("claim every layer", nothing);
    const known = ["environment", "permission", "code"];
    assert.deepEqual(
      child.layers.filter((layer) => !known.includes(layer) && layer !== "core-dumps"),
      [],
    );
    child.kill();
    await gone(child);
  },
);

test("it serves, says how it went, and is gone", async () => {
  const child = await start("echo");
  assert.equal(child.obstacle, "none");
  const heard = listen(child, encodeUtf8("a question"));
  child.end("client");
  assert.deepEqual(await heard, { text: "A QUESTION", outcome: "answered", code: 0 });
  await gone(child);
  assert.ok(!child.isAlive());
  child.write("client", encodeUtf8("late")); // does nothing, and does not fail
  child.send(messageType.assign);
  child.kill();
});

test("what it says last is heard, by a reader of any pace, though it has gone meanwhile", async () => {
  const child = await start("say and go");
  const pieces: number[] = [];
  let outcome: string | undefined;
  child.handle({
    bytes: (_name, [first = 0]) => {
      pieces.push(first);
      setTimeout(child.resume, 1);
      return false;
    },
    done: (given) => {
      outcome = given;
    },
  });
  child.send(messageType.assign);
  assert.equal(await gone(child), 0);
  assert.deepEqual([pieces, outcome], [Array.from({ length: 100 }, (_, index) => index), "answered"]);
});

test("a reader that never comes back does not keep a dead process for ever: it is ended like a live one", async () => {
  const child = await start("say and go");
  child.handle({ bytes: () => false });
  child.send(messageType.assign);
  await new Promise((resolve) => setTimeout(resolve, 200));
  child.kill();
  await gone(child);
});

test("one that does not come up is ended: it exits, hangs, lies about layers or cannot be started", async () => {
  const bad = [
    startChild({ sandbox: sandboxFor(code, "exit early") }),
    startChild({ sandbox: sandboxFor(code, "claim layers that are none") }),
    startChild({ sandbox: sandboxFor(code, "half a lock") }),
    startChild({ sandbox: sandboxFor(code, "half a ready") }),
    startChild({ sandbox: sandboxFor(code, "ready before it is locked") }),
    startChild({ sandbox: sandboxFor(join(folder, "nowhere.cjs")) }),
    startChild({ sandbox: sandboxFor(code, "never be ready"), startMs: 500 }),
    startSealed({
      sandbox: sandboxFor(code),
      startMs: 500,
      tools: { ...nothing, prlimit: "/nowhere/prlimit" },
    }),
    startSealed({ sandbox: sandboxFor(code), startMs: 500, tools: { ...nothing, prlimit: "/etc/passwd" } }),
    startSealed({ sandbox: sandboxFor(code, "\0"), startMs: 500 }),
  ];
  await Promise.all(bad.map((starting) => assert.rejects(starting, isStartFailure)));
});

const misbehaviours = [
  ...[
    "locked twice",
    "ready twice",
    "done twice",
    "a message of no kind",
    "the parent's message",
    "a message over its limit",
  ],
  ...["a short flight", "an outcome that is none", "speak before there is a client", "close the stream"],
  ...["exit", "fail", "stay when done"],
];

test("one that misbehaves is gone, nothing of it is left over, and the others go on", async () => {
  const descriptors = openDescriptors();
  const other = await start("echo");
  const heard = listen(other, encodeUtf8("before, "));
  const wrong = async (behaviour: string): Promise<void> => {
    // A process closes its stream for good only where no other program holds it too.
    const child = await start(behaviour, behaviour === "close the stream" ? nothing : tools);
    if (behaviour !== "speak before there is a client") {
      child.handle({ bytes: () => true, flight: () => {}, done: () => {} });
      child.send(messageType.assign);
    }
    const exit = await gone(child);
    const own: Record<string, number> = { exit: 3, fail: 1 };
    assert.equal(exit, own[behaviour], behaviour);
  };
  const queue = misbehaviours.values();
  const work = async (): Promise<void> => {
    for (const behaviour of queue) await wrong(behaviour);
  };
  await Promise.all([work(), work(), work()]);
  other.write("client", encodeUtf8("after"));
  other.end("client");
  assert.deepEqual(await heard, { text: "BEFORE, AFTER", outcome: "answered", code: 0 });
  assert.ok(openDescriptors() <= descriptors);
});

test("one that floods is held back by who does not read, and takes no memory here", async () => {
  const child = await start("flood");
  let pieces = 0;
  child.handle({
    bytes: () => {
      pieces += 1;
      return false;
    },
  });
  const before = process.memoryUsage().arrayBuffers;
  child.send(messageType.assign);
  // What was on its way when it was asked to wait still comes, and then nothing more.
  await new Promise((resolve) => setTimeout(resolve, 800));
  const early = pieces;
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(pieces, early, "it waits");
  assert.ok(pieces >= 1 && pieces <= 4, `${pieces} pieces`);
  child.resume();
  child.handle({ bytes: () => true });
  await new Promise((resolve) => setTimeout(resolve, 300));
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 32 * 1024 * 1024, `${grown} bytes`);
  child.kill();
  await gone(child);
});

test("one that takes nothing in makes who sends wait, and is not kept when they do not", async () => {
  const child = await start("take nothing in");
  const piece = new Uint8Array(1024 * 1024);
  assert.equal(child.write("client", piece), false);
  for (let turn = 0; turn < 6; turn += 1) child.write("client", piece);
  assert.ok(child.isAlive(), "several of the largest requests");
  for (let turn = 0; turn < 4; turn += 1) child.write("client", piece);
  assert.ok(!child.isAlive());
  await gone(child);
});

test("one that takes all memory or all time is ended by its limits", {
  skip: tools.prlimit === undefined,
}, async () => {
  await Promise.all([
    start("take all memory", tools, { memoryMib: 64 })
      .then(listen)
      .then(({ outcome }) => assert.equal(outcome, undefined)),
    start("take all of the heap", tools, { memoryMib: 64 })
      .then(listen)
      .then(({ outcome }) => assert.equal(outcome, undefined)),
    start("take all time", tools, { cpuSeconds: 1 })
      .then(listen)
      .then(({ outcome }) => assert.equal(outcome, undefined)),
  ]);
});

/** Runs a parent in a bad position, and returns what it told. */
async function runParent(
  position: string,
  wrapper: readonly string[],
  stdio: SpawnOptions["stdio"],
): Promise<unknown> {
  const entry = join(import.meta.dirname, "fixtures/parent.ts");
  const [file = "", ...args] = [
    ...wrapper,
    process.execPath,
    ...process.execArgv.filter((flag) => flag.startsWith("--openssl")),
    entry,
    position,
    code,
  ];
  const child = spawn(file, args, { stdio, cwd: root });
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (piece: string) => {
    text += piece;
  });
  await new Promise((resolve) => child.once("close", resolve));
  return JSON.parse(text);
}

test("a parent that has no descriptor left is told so, and lives on", {
  skip: tools.prlimit === undefined,
}, async () => {
  const wrapper = [tools.prlimit ?? "", "--nofile=512:512"];
  assert.equal(await runParent("scarce", wrapper, ["ignore", "pipe", "ignore"]), "start-failed");
});

test("what a parent was started with is not handed on", onLinux, async () => {
  const path = join(folder, "inherited.txt");
  writeFileSync(path, "");
  const file = openSync(path, "a");
  const stdio: SpawnOptions["stdio"] = [
    "ignore",
    "pipe",
    "ignore",
    file,
    file,
    "ignore",
    "ignore",
    file,
    "pipe",
  ];
  while (stdio.length < 70) stdio.push("ignore");
  stdio.push(file);
  const found = await runParent("inheriting", [], stdio);
  assert.ok(Array.isArray(found) && found.length > 3);
  assert.deepEqual(
    found.filter((link) => link === path),
    [],
  );
  const [streams, others] = [
    found.filter((link) => /^socket:/.test(link)),
    found.filter((link) => /^\//.test(link)),
  ];
  assert.equal(streams.length, 2, "its standard streams, and no other");
  assert.deepEqual(
    others.filter((link) => link !== "/dev/null" && link !== "/"),
    [],
  );
});
