import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const kit = join(import.meta.dirname, "..", "src", "index.ts");
const base = join(import.meta.dirname, "../../../protocol/base/src/index.ts");

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** Runs a service made of `start`'s body; `then` is called once it has said that it is ready. */
function run(start: string, then: (child: ReturnType<typeof spawn>) => void = () => {}): Promise<Ended> {
  const program = `import { EventEmitter } from "node:events";
    import { Readable } from "node:stream";
    import { CodedError } from ${JSON.stringify(base)};
    import { runService, serve, ConfigError } from ${JSON.stringify(kit)};
    runService("probe", async (life) => { ${start} });`;
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

// Everything of these is a canary, and some throw when they are looked at.
const throwables = `
  const word = "CANARY 4711";
  class Canary extends Error { name = word; code = word; get [Symbol.toStringTag]() { return word; } toString() { return word; } toJSON() { return word; } }
  const plain = () => Object.assign(new Error(word, { cause: new Error(word) }), { code: word, [word]: word });
  const getters = () => Object.defineProperties(new Error(), { message: { get() { throw plain(); } }, code: { get() { throw plain(); } }, stack: { get() { return word; } } });
  const coded = () => new CodedError(word, word, { cause: plain() });
  const config = () => new ConfigError(word, word, { cause: plain(), variables: [word, "SOTTO_" + word, { toString: () => word }] });
  const hidden = () => new Proxy(plain(), { get() { throw plain(); }, getPrototypeOf() { throw plain(); } });
  const makers = [plain, () => new Canary(word), getters, coded, config, hidden, () => word, () => ({ code: word }),
    () => Symbol(word), () => null, () => new AggregateError([plain()], word), () => new DOMException(word, word)];`;

test("audit 5: whatever is thrown once a service is ready, wherever, leaves an exit code and a build", async () => {
  const ways = `
    const ways = [
      (error) => setTimeout(() => { throw error; }),
      (error) => void Promise.reject(error),
      (error) => process.nextTick(() => { throw error; }),
      (error) => queueMicrotask(() => { throw error; }),
      (error) => void new EventEmitter().emit("error", error),
      (error) => void new Readable({ read() { this.destroy(error); } }).resume(),
      (error) => void new ReadableStream({ start() { throw error; } }),
      (error) => process.emit("unhandledRejection", error, Promise.resolve()),
    ];`;
  const body = `${throwables} ${ways}
    const exit = process.exit;
    process.exit = () => {}; // one process for all of them
    let count = 0;
    life.nameBuild("sha256:" + "0123456789ab".padEnd(64, "f"));
    life.nameBuild(word);
    setTimeout(async () => {
      for (const way of ways) for (const make of makers) {
        setImmediate(() => way(make()));
        await new Promise((done) => setTimeout(done, 2));
      }
      exit(0);
    }, 50);
    return serve({ port: 0, handler: async () => { throw plain(); } });`;
  const { code, stdout, stderr } = await run(body);
  assert.equal(code, 0);
  const lines = stderr.trimEnd().split("\n");
  assert.deepEqual(
    [...new Set(lines)],
    ['{"event":"crashed","service":"probe","exit":70,"build":"0123456789ab"}'],
  );
  assert.ok(lines.length >= 90, `${lines.length} of 96 ended it`);
  assert.ok(!stdout.includes("CANARY"));
});

test("audit 5: before it is ready, only a code in its form and variables of the schema are told", async () => {
  const body = `${throwables}
    const exit = process.exit;
    process.exit = () => {};
    setTimeout(async () => {
      for (const make of makers) {
        setImmediate(() => { throw make(); });
        await new Promise((done) => setTimeout(done, 2));
      }
      setImmediate(() => { throw new CodedError("model-refused", word); });
      setImmediate(() => { throw new ConfigError("malformed", word, { variables: ["SOTTO_PORT", word] }); });
      setTimeout(() => exit(1), 20);
    });
    return new Promise(() => {});`;
  const { stdout, stderr } = await run(body);
  const line = (rest: object, exit = 70) =>
    JSON.stringify({ event: "crashed", service: "probe", exit, build: "0.1.0", ...rest });
  const lines = stderr.trimEnd().split("\n");
  assert.equal(lines.length, 14);
  assert.deepEqual(
    [...new Set(lines)].sort(),
    [
      line({}),
      line({ code: "model-refused" }),
      line({}, 78),
      line({ code: "malformed", variables: ["SOTTO_PORT"] }, 78),
    ].sort(),
  );
  assert.equal(stdout, "");
});

test("audit 5: an error really ends the process, and a warning, a handler that fails and a signal do not", async () => {
  const failing = (how: string) => `setTimeout(() => { ${how} }, 10); ${serving}`;
  const [thrown, closing, quiet] = await Promise.all([
    run(failing('throw Object.assign(new Error("canary"), { code: "canary" });')),
    run('return { address: "", close: async () => { throw new Error("canary"); } };', (child) =>
      child.kill(),
    ),
    run(
      failing(`process.emitWarning("canary"); process.kill(process.pid, "SIGUSR1");
        setTimeout(() => process.kill(process.pid, "SIGTERM"), 50)`),
    ),
  ]);
  for (const { code, stderr } of [thrown, closing]) {
    assert.equal(code, 70);
    assert.equal(stderr, '{"event":"crashed","service":"probe","exit":70,"build":"0.1.0"}\n');
  }
  assert.deepEqual({ code: quiet.code, stderr: quiet.stderr }, { code: 0, stderr: "" }, "no debugger either");
});

test("a service that cannot start says the code, and for its configuration the variable", async () => {
  const [taken, config] = await Promise.all([
    run('await serve({ port: 1, host: "192.0.2.1", handler: async () => new Response() });'),
    run('throw new ConfigError("malformed", "environment: not in its form", { variables: ["SOTTO_PORT"] });'),
  ]);
  const crashed = '{"event":"crashed","service":"probe","exit":78,"build":"0.1.0",';
  assert.deepEqual([taken.code, config.code], [78, 78]);
  assert.equal(taken.stderr, `${crashed}"code":"address-unavailable"}\n`);
  assert.equal(config.stderr, `${crashed}"code":"malformed","variables":["SOTTO_PORT"]}\n`);
  assert.equal(taken.stdout + config.stdout, "");
});
