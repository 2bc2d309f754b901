// A launched machine, end to end: a service that asks for a report as the real ones do, and the launcher's process.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { verifySimulatedEvidence } from "@sotto/attestation";
import { createSimulatedChip, parseSimulatedRoot, serializeSimulatedChip } from "@sotto/attestation/software";
import { decodeBase64, systemRandom } from "@sotto/base";
import { launchMachine, type MachineOptions, measureService, type ServiceImage } from "@sotto/tee";
import { createFolder, createRunnableClone, write } from "./clone.ts";

const toy = `
import { requestReport } from "@sotto/kit";
const { report, certificates } = await requestReport(process.env.SOTTO_TSM, new Uint8Array(64).fill(7));
const base64 = (bytes) => Buffer.from(bytes).toString("base64");
const { env, execArgv, pid } = process;
process.on("SIGTERM", () => process.exit(9));
process.stdin.on("end", () => process.exit(11)).resume();
console.error("said on standard error");
console.log(JSON.stringify({ env, execArgv, pid, report: base64(report), certificates: base64(certificates) }));
if (env.SOTTO_PREDICTORS === "exit") process.exit(7);
`;
type Said = Record<"report" | "certificates", string> & {
  env: Record<string, string>;
  execArgv: string[];
  pid: number;
};

const image = createRunnableClone(toy);
const chip = await createSimulatedChip(Date.now(), systemRandom);
const launcher = join(import.meta.dirname, "..", "src", "main.ts");

function optionsFor(of: ServiceImage, hints: Record<string, string> = {}): MachineOptions {
  return { image: of, chip, release: join(of.root, "release.json"), hints: { SOTTO_PORT: "0", ...hints } };
}

async function hear(child: ChildProcess): Promise<Said> {
  assert.ok(child.stdout);
  for await (const line of createInterface({ input: child.stdout })) return JSON.parse(line);
  throw new Error("said nothing");
}

async function measuredBy({ report, certificates }: Said): Promise<string> {
  const evidence = { report: decodeBase64(report), certificates: decodeBase64(certificates) };
  const claims = await verifySimulatedEvidence(evidence, parseSimulatedRoot(chip.ark), Date.now());
  return claims.report.measurement;
}

function startLauncher(of: ServiceImage, hints: Record<string, string> = {}): ChildProcess {
  const folder = createFolder();
  writeFileSync(join(folder, "chip.json"), serializeSimulatedChip(chip));
  const launch = { ...optionsFor(of, hints), chip: join(folder, "chip.json") };
  write(folder, "launch.json", launch);
  return spawn(process.execPath, [launcher, join(folder, "launch.json")], {
    env: { SECRET: "not for the service", NODE_OPTIONS: "--no-warnings", HOME: folder },
    stdio: ["pipe", "pipe", "pipe"],
  });
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("a launched service gets exactly its variables, and a report about exactly its files", async () => {
  const released = await measureService(image);
  const { service, measured } = await launchMachine(optionsFor(image));
  const said = await hear(service);
  assert.deepEqual(said.env, {
    SOTTO_PORT: "0",
    SOTTO_TSM: said.env.SOTTO_TSM,
    SOTTO_CONFIG: image.config,
    SOTTO_RELEASE: join(image.root, "release.json"),
  });
  assert.deepEqual(said.execArgv, []);
  assert.deepEqual(measured, released);
  assert.equal(await measuredBy(said), released.measurement);
  const folder = dirname(said.env.SOTTO_TSM ?? "");
  assert.ok(existsSync(folder));
  service.stdin?.end();
  assert.deepEqual(await once(service, "exit"), [11, null]);
  assert.ok(!existsSync(folder), "the device's folder goes with the machine");
});

test("what was changed after the release shows in the report", async () => {
  const changed = createRunnableClone(`${toy}// one more line\n`);
  const flagged = { ...changed, nodeFlags: ["--no-warnings"] };
  const measurements = [(await measureService(image)).measurement];
  for (const variant of [changed, flagged]) {
    const { service } = await launchMachine(optionsFor(variant));
    const said = await hear(service);
    assert.deepEqual(said.execArgv, variant === flagged ? ["--no-warnings"] : []);
    measurements.push(await measuredBy(said));
    service.kill();
    await once(service, "exit");
  }
  assert.equal(new Set(measurements).size, 3);
});

test("no variable but the routing hints can be handed in", async () => {
  for (const name of ["NODE_OPTIONS", "PATH", "SOTTO_TSM", "SOTTO_CONFIG", "SOTTO_DEBUG"]) {
    await assert.rejects(launchMachine(optionsFor(image, { [name]: "x" })), { code: "malformed" });
  }
});

test("the launcher passes output on, inherits nothing to the service, and ends with its code", async () => {
  const child = startLauncher(image, { SOTTO_PREDICTORS: "exit" });
  let errors = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  const exit = once(child, "exit");
  const said = await hear(child);
  assert.deepEqual(Object.keys(said.env).sort(), [
    "SOTTO_CONFIG",
    "SOTTO_PORT",
    "SOTTO_PREDICTORS",
    "SOTTO_RELEASE",
    "SOTTO_TSM",
  ]);
  assert.deepEqual(await exit, [7, null]);
  assert.equal(errors, "said on standard error\n");
});

test("signals reach the service, and a parent that is gone ends both", async () => {
  const signalled = startLauncher(image);
  await hear(signalled);
  signalled.kill("SIGTERM");
  assert.deepEqual(await once(signalled, "exit"), [9, null]);

  const orphaned = startLauncher(image);
  await hear(orphaned);
  orphaned.stdin?.end();
  const [code] = await once(orphaned, "exit");
  // The service hears of it twice, by its input and by SIGTERM, and may end by either.
  assert.ok(code === 9 || code === 128 + 15, `exit code ${code}`);
});

test("a launcher that is killed takes its service with it", async () => {
  const killed = startLauncher(image);
  const { pid, env } = await hear(killed);
  assert.ok(isAlive(pid));
  killed.kill("SIGKILL");
  for (let tries = 0; isAlive(pid) && tries < 400; tries += 1) await sleep(10);
  assert.ok(!isAlive(pid));
  rmSync(dirname(env.SOTTO_TSM ?? ""), { recursive: true }); // nobody was left to do it
});

test("a service that is killed ends its launcher, with the signal's code", async () => {
  const child = startLauncher(image);
  const { pid } = await hear(child);
  process.kill(pid, "SIGKILL");
  assert.deepEqual(await once(child, "exit"), [128 + 9, null]);
});

test("a launch file that is not one is refused with a code and nothing else", async () => {
  const folder = createFolder();
  const files: Record<string, string | object> = {
    "empty.json": "",
    "array.json": "[]",
    "fields.json": { image, chip: "x", release: "x", hints: {}, debug: true },
    "image.json": { image: { ...image, extra: 1 }, chip: "x", release: "x", hints: {} },
    "hints.json": { image, chip: "x", release: "x", hints: { SOTTO_PORT: 0 } },
    "chip.json": { image, chip: realpathSync(folder), release: "x", hints: {} },
  };
  for (const [name, content] of Object.entries(files)) {
    write(folder, name, content);
    const child = spawn(process.execPath, [launcher, join(folder, name)], {
      stdio: ["pipe", "ignore", "pipe"],
    });
    let text = "";
    child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    const [code] = await once(child, "close");
    assert.equal(code, 70, name);
    const event = JSON.parse(text);
    assert.equal(event.event, "launch-failed");
    assert.equal(event.code, "malformed");
  }
});
