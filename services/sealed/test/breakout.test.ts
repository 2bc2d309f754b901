// What a sealed process could do if somebody had taken over its code: it tries, for real, and nothing gets through.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";
import type { SandboxTools } from "@sotto/sealed";
import { bundleFixture, listen, sandboxFor, startChild, tools, withoutBwrap } from "./children.ts";
import { describe, parseOutcomes, setTargets } from "./targets.ts";

const code = await bundleFixture("breakout");
const refused = (outcomes: ReadonlyMap<string, string>): string[] =>
  [...outcomes].filter(([, outcome]) => outcome === "refused").map(([name]) => name);

// What there is nothing of to reach even where nothing is refused.
const pointless = [
  ...["net: tcp over ipv6", "net: a socket from a descriptor", "EventSource", "WebSocket"],
  ...["tls: connect", "https: get", "dns: resolve"], // they do come through, and who is there speaks something else
  ...["read: the chip", "read: configfs", "look: the environment", "write: localStorage"],
  ...["reach: inspector session, main thread", "load: an addon", "load: an internal addon"],
  ...["code: a timer", "code: an interval", "code: a blob url", "code: ShadowRealm", "permission: granted"],
  ...["fs.read", "fs.write", "net", "child", "worker", "wasi", "inspector", "addon", "ffi"].map(
    (scope) => `permission: ${scope}`,
  ),
];

test("the attempts are real: without a sandbox they get through", {
  skip: process.platform !== "linux",
}, async () => {
  const { targets, reached } = await setTargets("unsealed", code);
  const args = ["--no-warnings", code, JSON.stringify(targets), "unsealed"];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: {} });
  const outcomes = parseOutcomes(stdout);
  assert.ok(outcomes.size > 100);
  const unexpected = refused(outcomes).filter((name) => !pointless.includes(name));
  // Changing an owner takes root.
  assert.deepEqual(
    unexpected.filter((name) => process.getuid?.() === 0 || name !== "write: chown"),
    [],
  );
  assert.ok(reached() > 10);
  for (const path of ["/tmp/sotto-written", "/dev/shm/sotto-written"]) rmSync(path, { force: true });
});

const sandboxes: readonly [string, SandboxTools, string | false][] = [
  ["in namespaces of its own", tools, withoutBwrap],
  ["where the machine has no namespaces to give", { ...tools, bwrap: undefined }, false],
  [
    "where the machine has nothing to give",
    { bwrap: undefined, prlimit: undefined, setpriv: undefined },
    false,
  ],
];

for (const [index, [name, given, skip]] of sandboxes.entries()) {
  test(`nothing gets out of a sealed process, ${name}`, { skip }, async () => {
    const { targets, own, bystanders: others, reached } = await setTargets(`sealed-${index}`, code);
    const before = describe(own);
    const sandbox = sandboxFor(code, JSON.stringify(targets));
    const child = await startChild({ sandbox, tools: given });
    const { text, outcome, code: exit } = await listen(child);
    assert.deepEqual([outcome, exit], ["answered", 0], "it lived through all of it");
    const outcomes = parseOutcomes(text);
    assert.ok(outcomes.size > 160);
    assert.deepEqual(
      [...outcomes].filter(([, how]) => how !== "refused"),
      [],
    );
    assert.equal(reached(), 0, "nobody heard from it");
    assert.deepEqual(describe(own), before, "nothing was written");
    for (const { exitCode, signalCode } of others) assert.deepEqual([exitCode, signalCode], [null, null]);
  });
}
