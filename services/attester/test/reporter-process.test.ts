// The reporter as the process that services start: what it may do, what it hears, and how it ends.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import { createReportSigner } from "@sotto/attestation/software";
import { createAttester } from "@sotto/attester";
import { type Bytes, concatBytes, systemRandom } from "@sotto/base";
import { openReportDevice, type ReportDevice } from "@sotto/tee";
import { chip, measurement } from "../../../protocol/attestation/test/stage.ts";
import { type Answer, AnswerParser, serializeAsk } from "../src/reporter/message.ts";
import { exitCode, parseSeat, type Seat, serializeSeat } from "../src/reporter/seat.ts";
import { reporterCommand, startReporter } from "../src/reporter-process.ts";
import { bindingOf, folder, rejects, release, until, vouchesFor } from "./stage.ts";

const open: { readonly close: () => unknown }[] = [];
after(() => Promise.all(open.map(({ close }) => close())));
const signer = await createReportSigner(chip, measurement);
let count = 0;

/** The folder of a device that answers, or of one that nobody serves. */
function openDevice(isServed = true): { readonly device: string; readonly served: ReportDevice | undefined } {
  count += 1;
  const root = join(folder, `device-${count}`);
  mkdirSync(root);
  const device = join(root, "tsm");
  if (!isServed) mkdirSync(device);
  const served = isServed
    ? openReportDevice({ folder: device, certificates: chip.certificates, signer })
    : undefined;
  if (served !== undefined) open.push(served);
  return { device, served };
}

const seatAt = (device: string, recent: readonly number[] = []): Seat => ({
  role: "predictor",
  device,
  recent,
});
const askFor = (id: number): Bytes => serializeAsk({ id, digests: systemRandom(256) });

/** A reporter, what it says, and its end. */
function start(seat: Seat) {
  const connection = startReporter(seat);
  const answers: Answer[] = [];
  const parser = new AnswerParser();
  connection.output.on("data", (bytes: Uint8Array) => answers.push(...parser.push(bytes)));
  connection.input.on("error", () => {});
  open.push({ close: connection.kill });
  return { ...connection, answers };
}

test("a seat is the same after its journey, and what is none is refused", () => {
  const seats: readonly Seat[] = [
    seatAt("/sys/kernel/config/tsm/report"),
    { role: "guard", device: "/a,b", recent: [0, 17, 9999] },
    { role: "orchestrator", device: "/x", recent: [99_999, 0, 0, 0, 0, 0, 0, 0, 0, 0] },
  ];
  for (const seat of seats) assert.deepEqual(parseSeat(serializeSeat(seat)), seat);
  assert.deepEqual(parseSeat(serializeSeat(seatAt("/x", [0.5, -3, 1e9]))).recent, [0, 0, 99_999]);
  assert.equal(
    parseSeat(
      serializeSeat(
        seatAt(
          "/x",
          Array.from({ length: 30 }, () => 1),
        ),
      ),
    ).recent.length,
    10,
  );
  const wrong: readonly (readonly string[])[] = [
    [],
    ["predictor"],
    ["predictor", "/x"],
    ["predictor", "x", ""],
    ["client", "/x", ""],
    ["toString", "/x", ""],
    ["predictor", "/x", "-1"],
    ["predictor", "/x", "1,"],
    ["predictor", "/x", "100000"],
    ["predictor", "/x", "", "more"],
    ["predictor", "/x", "1,1,1,1,1,1,1,1,1,1,1"],
  ];
  for (const args of wrong) assert.throws(() => parseSeat(args), { name: "SeatError", code: "malformed" });
});

test("it answers sessions with one report, and ends when its attester does", async () => {
  const { device, served } = openDevice();
  const { input, answers, ended } = start(seatAt(device));
  input.write(concatBytes(askFor(0), askFor(1), askFor(2)));
  await until(() => answers.length === 4);
  assert.deepEqual(
    answers.map(({ kind }) => kind),
    ["report", "place", "place", "place"],
  );
  assert.equal(served?.reportsMade(), 1);
  assert.deepEqual(readdirSync(device), [], "the device is left as it was found");
  input.end();
  assert.equal(await ended, 0);
});

test("a reporter after another counts what was asked of the device before", async () => {
  const { device, served } = openDevice();
  const { input, answers } = start(seatAt(device, [9000, 0]));
  input.write(askFor(0));
  await new Promise((resolve) => setTimeout(resolve, 400));
  assert.equal(served?.reportsMade(), 0);
  await until(() => answers.length === 2);
  assert.equal(served.reportsMade(), 1);
});

test("what is no ask ends it at once, and asks the device for nothing", async () => {
  const wrong: Readonly<Record<string, Bytes>> = {
    "an id that is not the next": askFor(1),
    "the same id twice": concatBytes(askFor(0), askFor(0)),
    "the data of a report": concatBytes(systemRandom(64).with(0, 1), systemRandom(512)),
    "half an ask, and the end": askFor(0).slice(0, 130),
  };
  for (const [name, bytes] of Object.entries(wrong)) {
    const { device, served } = openDevice();
    const { input, ended, answers } = start(seatAt(device));
    input.end(bytes);
    assert.equal(await ended, exitCode.malformed, name);
    assert.deepEqual([answers, served?.reportsMade()], [[], 0], name);
  }
});

test("it does not run without a whole seat, nor where it could do more than it needs", async () => {
  const { device } = openDevice(false);
  const { file, args, entry } = reporterCommand(seatAt(device));
  const own = args.slice(0, args.indexOf(entry));
  const seat = args.slice(args.indexOf(entry) + 1);
  const run = async (given: readonly string[]): Promise<number | null> => {
    const child = spawn(file, given, { stdio: ["pipe", "ignore", "ignore"], env: {} });
    open.push({ close: () => child.kill("SIGKILL") });
    const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
    child.stdin.on("error", () => {}).end();
    return ended;
  };
  assert.equal(await run([...own, entry, ...seat]), 0, "as it should be");
  for (const wrong of [[], ["predictor", "relative", ""], ["nobody", device, ""], [...seat, "more"]])
    assert.equal(await run([...own, entry, ...wrong]), exitCode.software, wrong.join(" "));
  for (const more of ["net", "child-process", "worker", "addons", "wasi", "inspector"])
    assert.equal(await run([...own, `--allow-${more}`, entry, ...seat]), exitCode.software, more);
  assert.equal(await run([...own, "--allow-fs-write=*", entry, ...seat]), exitCode.software);
  assert.equal(await run(["--no-warnings", entry, ...seat]), exitCode.software, "no permissions at all");
});

test("its variables are none of the service's", () => {
  const { args } = reporterCommand(seatAt("/x"));
  assert.ok(args.includes("--permission") && args.includes("--disable-sigusr1"));
  const allowed = args.filter((arg) => arg.startsWith("--allow-") && !arg.startsWith("--allow-fs-read="));
  assert.deepEqual(allowed, ["--allow-fs-write=/x"]);
});

// Run in the very process of the reporter, after it has locked itself.
const attempts = `
const fs = process.getBuiltinModule("fs"), net = process.getBuiltinModule("net");
const http = process.getBuiltinModule("http"), dgram = process.getBuiltinModule("dgram");
const child = process.getBuiltinModule("child_process"), workers = process.getBuiltinModule("worker_threads");
const inspector = process.getBuiltinModule("inspector");
const [device, outside, port, entry] = JSON.parse(process.argv.pop());
await import(entry);
const until = (emitter, ...events) => new Promise((resolve, reject) => {
  emitter.on("error", reject);
  for (const event of events) emitter.on(event, resolve);
});
const all = {
  "device: list": () => fs.readdirSync(device),
  "device: make": () => fs.mkdirSync(device + "/made"),
  "net: tcp": () => until(net.connect(port, "127.0.0.1"), "connect"),
  "net: unix": () => until(net.connect(outside + "/socket"), "connect"),
  "net: listen": () => until(net.createServer().listen(0, "127.0.0.1"), "listening"),
  "net: http": () => until(http.get({ port, host: "127.0.0.1" }), "response"),
  "net: fetch": () => fetch("http://127.0.0.1:" + port),
  "net: udp": () => until(dgram.createSocket("udp4").bind(0), "listening"),
  "child: spawn": () => until(child.spawn(process.execPath, ["--version"]), "spawn"),
  "child: exec": () => child.execSync("true"),
  "child: fork": () => until(child.fork(outside + "/secret"), "spawn"),
  "worker": () => until(new workers.Worker("1", { eval: true }), "online"),
  "inspector": () => inspector.open(0),
  "read: a file": () => fs.readFileSync(outside + "/secret"),
  "read: a detour": () => fs.readFileSync(device + "/../../" + outside.split("/").pop() + "/secret"),
  "read: its own code": () => fs.readFileSync(new URL(entry)),
  "read: code that it loaded": () => fs.readFileSync(new URL("../../../kit/src/tsm.ts", entry)),
  "read: /proc/self/environ": () => fs.readFileSync("/proc/self/environ"),
  "read: /proc/self/mem": () => fs.openSync("/proc/self/mem", "r"),
  "read: the parent's memory": () => fs.openSync("/proc/" + process.ppid + "/mem", "r"),
  "read: /etc/passwd": () => fs.readFileSync("/etc/passwd"),
  "look: beside the device": () => fs.readdirSync(device + "/.."),
  "write: a file": () => fs.writeFileSync(outside + "/written", "x"),
  "write: beside the device": () => fs.writeFileSync(device + "/../written", "x"),
  "write: its own code": () => fs.appendFileSync(new URL(entry), ""),
  "write: remove": () => fs.rmSync(outside + "/secret"),
  "write: a link that leads out": () => fs.symlinkSync(outside, device + "/out"),
  "write: a second name for a file": () => fs.linkSync(outside + "/secret", device + "/secret"),
  "write: a file moved in": () => fs.renameSync(outside + "/secret", device + "/secret"),
  "write: a file copied in": () => fs.copyFileSync(outside + "/secret", device + "/secret"),
  "load: a module": () => import(outside + "/module.mjs"),
  "dump: a report": () => process.report.writeReport(outside + "/report"),
};
const outcomes = {};
for (const [name, run] of Object.entries(all)) {
  outcomes[name] = await new Promise((resolve) => {
    setTimeout(resolve, 1000, "silent");
    // What fails behind its back is its failure too, unless it gets through all the same.
    for (const event of ["uncaughtException", "unhandledRejection"])
      process.removeAllListeners(event).on(event, () => setTimeout(resolve, 20, "refused"));
    (async () => run())().then(() => resolve("got through"), () => resolve("refused"));
  });
}
process.stdout.write(JSON.stringify({ outcomes, env: Object.keys(process.env) }));
process.exit(0);
`;

test("it reaches its device, and nothing else: no network, no process, no other file, not its own code", async () => {
  const { device } = openDevice(false);
  const outside = join(folder, "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "secret"), "secret");
  writeFileSync(join(outside, "module.mjs"), "export default 1;");
  let reached = 0;
  const servers = [{ port: 0, host: "127.0.0.1" }, { path: join(outside, "socket") }].map((where) =>
    createServer((socket) => {
      reached += 1;
      socket.on("error", () => {}).end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    }).listen(where),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once("listening", resolve))));
  for (const server of servers) open.push({ close: () => server.close() });
  const address = servers[0]?.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const { file, args, entry } = reporterCommand(seatAt(device));
  const flags = args.slice(0, args.indexOf(entry));
  const targets = JSON.stringify([device, outside, port, `file://${entry}`]);
  const given = ["--input-type=module", "--eval", attempts, "--", entry, "predictor", device, "", targets];
  const outcomes = await tell(spawn(file, [...flags, ...given], { env: {}, cwd: "/" }));
  const mine = ["device: list", "device: make"];
  assert.ok(Object.keys(outcomes).length > 25);
  for (const [name, outcome] of Object.entries(outcomes))
    assert.equal(outcome, mine.includes(name) ? "got through" : "refused", name);
  assert.equal(reached, 0);
  assert.deepEqual(readdirSync(outside).sort(), ["module.mjs", "secret", "socket"]);
  assert.deepEqual(readdirSync(device).sort(), ["made"]);
});

/** What the attempts came to; no variable was handed on. */
async function tell(child: ChildProcess): Promise<Record<string, string>> {
  open.push({ close: () => child.kill("SIGKILL") });
  let said = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  await new Promise((resolve) => child.once("close", resolve));
  const { outcomes, env } = JSON.parse(said);
  assert.deepEqual(env, []);
  return outcomes;
}

test("a reporter that is killed leaves its sessions unavailable, and another serves those after them", {
  skip: process.platform !== "linux" && "processes cannot be found by their parent",
}, async () => {
  const { device, served } = openDevice();
  const before = new Set(reporters());
  const attester = createAttester({ tsmRoot: device, release, role: "predictor", clock: Date.now });
  open.push(attester);
  assert.ok(vouchesFor(await attester.attest(bindingOf(1)), bindingOf(1)));
  const [pid] = reporters().filter((found) => !before.has(found));
  assert.ok(pid !== undefined);
  process.kill(pid, "SIGSTOP");
  const lost = attester.attest(bindingOf(2));
  process.kill(pid, "SIGKILL");
  await rejects(lost, "unavailable");
  await rejects(attester.attest(bindingOf(3)), "unavailable");
  let bundle: Awaited<ReturnType<typeof attester.attest>> | undefined;
  for (let tries = 0; bundle === undefined && tries < 500; tries += 1) {
    bundle = await attester.attest(bindingOf(4)).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(bundle !== undefined && vouchesFor(bundle, bindingOf(4)));
  assert.equal(served?.reportsMade(), 2);
});

/** Children of this process. */
function reporters(): number[] {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8");
  return children.split(" ").filter(Boolean).map(Number);
}

test("a device that refuses is asked no more: the reporter ends, and so does all attesting", async () => {
  const { device } = openDevice(false);
  const timer = setInterval(() => {
    for (const name of readdirSync(device)) {
      try {
        const path = join(device, name, "inblob");
        writeFileSync(path, "", { flag: "wx" });
        mkdirSync(join(device, name, "outblob")); // as the emulated device refuses
      } catch {
        // Done already, or gone.
      }
    }
  }, 2);
  open.push({ close: () => clearInterval(timer) });
  const { input, answers, ended } = start(seatAt(device));
  input.write(concatBytes(askFor(0), askFor(1)));
  assert.equal(await ended, exitCode.deviceLost);
  assert.deepEqual(
    answers.map((answer) => answer.kind === "refusal" && answer.word),
    ["unavailable", "unavailable"],
  );
  const attester = createAttester({ tsmRoot: device, release, role: "predictor", clock: Date.now });
  open.push(attester);
  await rejects(attester.attest(bindingOf(1)), "unavailable");
  await rejects(attester.attest(bindingOf(2)), "unavailable");
});

test("where there is no device, sessions are refused and the attester lives", async () => {
  const attester = createAttester({
    ...{ tsmRoot: join(folder, "nowhere"), release, role: "predictor", clock: Date.now },
  });
  await rejects(attester.attest(bindingOf(1)), "unavailable");
  await attester.close();
  await rejects(attester.attest(bindingOf(2)), "unavailable");
});
