import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const kit = join(import.meta.dirname, "..", "src", "index.ts");

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** Runs a service made of `start`'s body; `then` is called once it has said that it is ready. */
function run(start: string, then: (child: ReturnType<typeof spawn>) => void = () => {}): Promise<Ended> {
  const program = `import { runService, serve, ConfigError } from ${JSON.stringify(kit)};
    runService("probe", async () => { ${start} });`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["pipe", "pipe", "pipe"],
    env: {},
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    if (stdout === "") then(child);
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, stdout, stderr })));
}

const serving = 'return serve({ port: 0, handler: async () => new Response("x") });';

test("a service says where it is, once, and ends on SIGTERM, SIGINT and when its parent is gone", async () => {
  const endings: ((child: ReturnType<typeof spawn>) => void)[] = [
    (child) => child.kill("SIGTERM"),
    (child) => child.kill("SIGINT"),
    (child) => child.stdin?.end(),
  ];
  const ended = await Promise.all(endings.map((end) => run(serving, end)));
  for (const { code, stdout, stderr } of ended) {
    assert.equal(code, 0);
    assert.equal(stderr, "");
    const [line = "", ...more] = stdout.trimEnd().split("\n");
    assert.deepEqual(more, []);
    const { event, service, address } = JSON.parse(line);
    assert.deepEqual({ event, service }, { event: "ready", service: "probe" });
    assert.match(address, /^http:\/\/127\.0\.0\.1:\d+$/);
  }
});

test("audit 5: an uncaught error, a rejection and a warning leave no word of theirs", async () => {
  const failing = (how: string) => `setTimeout(() => { ${how} }, 10); ${serving}`;
  const error = 'Object.assign(new Error("canary-4711"), { code: "canary-4711" })';
  const [thrown, rejected, warned] = await Promise.all([
    run(failing(`throw ${error}`)),
    run(failing(`Promise.reject(${error})`)),
    run(
      failing(
        'process.emitWarning("canary-4711"); setTimeout(() => process.kill(process.pid, "SIGTERM"), 10)',
      ),
    ),
  ]);
  for (const { code, stderr } of [thrown, rejected]) {
    assert.equal(code, 70);
    assert.equal(stderr, '{"event":"crashed","service":"probe"}\n');
  }
  assert.deepEqual({ code: warned.code, stderr: warned.stderr }, { code: 0, stderr: "" });
});

test("a service that cannot start says the code, and for its configuration the variable", async () => {
  const [taken, config] = await Promise.all([
    run('await serve({ port: 1, host: "192.0.2.1", handler: async () => new Response() });'),
    run('throw new ConfigError("malformed", "environment: SOTTO_PORT missing or malformed");'),
  ]);
  assert.equal(taken.code, 70);
  assert.equal(taken.stderr, '{"event":"crashed","service":"probe","code":"EADDRNOTAVAIL"}\n');
  assert.equal(config.code, 78);
  assert.match(config.stderr, /SOTTO_PORT/);
  assert.equal(taken.stdout + config.stdout, "");
});
