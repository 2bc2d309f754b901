// What a sealed process could do if somebody had taken over its code: it tries, for real, and nothing gets through.
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import type { SandboxTools } from "@sotto/sealed";
import { bundleFixture, folder, listen, sandboxFor, startChild, tools, withoutBwrap } from "./children.ts";
import type { Targets } from "./fixtures/attempt.ts";

const code = await bundleFixture("breakout");
const everybody = new Set<ChildProcess>();
after(() => {
  for (const bystander of everybody) bystander.kill("SIGKILL");
});

function startBystander(): ChildProcess {
  const child = spawn(process.execPath, ["--eval", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
  everybody.add(child);
  return child;
}

/** Everything that there is to be reached, and what has been reached of it. */
async function setTargets(name: string) {
  const own = join(folder, name);
  mkdirSync(own);
  writeFileSync(join(own, "secret.txt"), "secret");
  symlinkSync(join(own, "secret.txt"), join(own, "link.txt"));
  writeFileSync(join(own, "module.mjs"), "export default 1");
  copyFileSync(code, join(own, "code.cjs"));
  let reached = 0;
  const servers = [0, join(own, "socket"), "\0sotto-test"].map((where) =>
    createServer((socket) => {
      reached += 1;
      // Whatever is asked gets an answer, so that whoever gets through knows.
      socket
        .on("error", () => {})
        .on("data", () => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    }).listen(typeof where === "number" ? { port: where, host: "127.0.0.1" } : { path: where }),
  );
  const udp = createSocket("udp4").on("message", () => {
    reached += 1;
  });
  await Promise.all([
    ...servers.map((server) => new Promise((resolve) => server.once("listening", resolve))),
    new Promise<void>((resolve) => udp.bind(0, "127.0.0.1", () => resolve())),
  ]);
  after(() => {
    for (const server of servers) server.close();
    udp.close();
  });
  const [parent, sibling] = [startBystander(), startBystander()];
  const address = servers[0]?.address();
  const targets: Targets = {
    port: typeof address === "object" && address !== null ? address.port : 0,
    udpPort: udp.address().port,
    socketPath: join(own, "socket"),
    folder: own,
    code: join(own, "code.cjs"),
    parent: parent.pid ?? 0,
    sibling: sibling.pid ?? 0,
  };
  return { targets, own, bystanders: [parent, sibling], reached: () => reached };
}

function parseOutcomes(text: string): Map<string, string> {
  return new Map(
    text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line)),
  );
}

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
  const { targets, reached } = await setTargets("unsealed");
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
    const { targets, own, bystanders: others, reached } = await setTargets(`sealed-${index}`);
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

/** What lies in a folder, with content and mode. */
function describe(path: string): string[] {
  return readdirSync(path, { withFileTypes: true }).map((entry) => {
    const { mode } = statSync(join(path, entry.name));
    const content = entry.isFile() ? readFileSync(join(path, entry.name), "hex") : "";
    return `${entry.name} ${mode} ${content}`;
  });
}
