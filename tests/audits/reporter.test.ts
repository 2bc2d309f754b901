// Findings about the process that has the report device: what it can be made to sign, who else could ask the device, and
// that its code is measured like all else.
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import {
  batchReportData,
  createBatch,
  leafOfDigests,
  parseSnpReport,
  verifyBinding,
  verifySimulatedEvidence,
} from "@sotto/attestation";
import { createReportSigner, parseSimulatedRoot } from "@sotto/attestation/software";
import { type Bytes, concatBytes, decodeBase64, systemRandom } from "@sotto/base";
import { leafHash } from "@sotto/log";
import { launchMachine, measureService, openReportDevice, type ServiceImage } from "@sotto/tee";
import { chip, measurement } from "../../protocol/attestation/test/stage.ts";
import { type Answer, AnswerParser } from "../../services/attester/src/reporter/message.ts";
import { reporterCommand, startReporter } from "../../services/attester/src/reporter-process.ts";
import { createFolder, createRunnableClone, write } from "../../tools/tee/test/clone.ts";
import { readSources } from "../architecture/sources.ts";
import { boot, configOf, environmentOf, root } from "../confidential-stage.ts";

const roles = ["orchestrator", "predictor", "guard"] as const;
const devices: { readonly close: () => void }[] = [];
after(() => {
  for (const device of devices) device.close();
});

/** A real reporter over the emulated device, spoken to by somebody who has taken over the process that started it. */
async function openReporter(role: (typeof roles)[number]) {
  const device = join(createFolder(), "tsm");
  const signer = await createReportSigner(chip, measurement);
  const served = openReportDevice({ folder: device, certificates: chip.certificates, signer });
  const reporter = startReporter({ role, device, recent: [] });
  devices.push(served, { close: reporter.kill });
  reporter.input.on("error", () => {});
  const answers: Answer[] = [];
  const parser = new AnswerParser();
  reporter.output.on("data", (bytes: Uint8Array) => answers.push(...parser.push(bytes)));
  return { ...reporter, answers, reportsMade: served.reportsMade };
}

const idOf = (id: number): Bytes => Uint8Array.of(0, 0, 0, id);
const hash = (byte: number): Bytes => new Uint8Array(32).fill(byte);
const chosen = systemRandom(64);
const lone = batchReportData(1, leafHash(leafOfDigests("predictor", new Uint8Array(256))));

// What somebody could say who wants a report over bytes of his own, or about a session of another role.
const wanted: Readonly<Record<string, Bytes>> = {
  "the data of a report": chosen,
  "the data of a report, after an id": concatBytes(idOf(0), chosen),
  "a leaf": concatBytes(idOf(0), leafOfDigests("predictor", new Uint8Array(256))),
  "a root and its size": concatBytes(idOf(0), idOf(1), hash(1)),
  "a role before the digests": concatBytes(idOf(0), Uint8Array.of(2), new Uint8Array(256)),
  "a digest too few": concatBytes(idOf(0), new Uint8Array(224)),
  "a digest too many": concatBytes(idOf(0), new Uint8Array(256), hash(3)),
  "an id that is not the next": concatBytes(idOf(1), new Uint8Array(256)),
  "a report of its own making": concatBytes(Uint8Array.of(1, 0, 0, 8), idOf(1), new Uint8Array(4)),
};

test("32: the reporter signs nothing that was chosen, and ends where it is asked to", async () => {
  for (const [name, bytes] of Object.entries(wanted)) {
    const { input, ended, answers, reportsMade } = await openReporter("orchestrator");
    input.end(bytes);
    assert.notEqual(await ended, 0, name);
    assert.ok(reportsMade() <= 1, name); // of the ask that was whole, where there was one
    for (const answer of answers) {
      if (answer.kind !== "report") continue;
      const { reportData } = parseSnpReport(answer.report);
      for (const other of [chosen, lone]) assert.notDeepEqual(reportData, other, name);
    }
  }
});

test("32: whatever digests it is given, a report is about sessions of its own role", async () => {
  for (const role of roles) {
    const { input, answers } = await openReporter(role);
    const leaf = leafOfDigests("guard", systemRandom(256));
    // Digests that look like leaves, roots and report data of others.
    const digests = [concatBytes(leaf, leaf, leaf, leaf), concatBytes(chosen, chosen, lone, lone)];
    input.write(concatBytes(...digests.map((bytes, index) => concatBytes(idOf(index), bytes))));
    while (answers.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    const [report, ...places] = answers;
    assert.ok(report?.kind === "report");
    const { reportData } = parseSnpReport(report.report);
    const leaves = digests.map((bytes) => leafOfDigests(role, bytes));
    assert.deepEqual(reportData, createBatch(leaves).reportData);
    for (const [index, place] of places.entries()) {
      assert.ok(place.kind === "place");
      const batch = { index, size: 2, path: place.path };
      verifyBinding(leaves[index] ?? chosen, batch, reportData);
      const own = digests[index] ?? chosen;
      const foreign = roles.filter((other) => other !== role).map((other) => leafOfDigests(other, own));
      for (const other of [...foreign, leaf, chosen])
        assert.throws(() => verifyBinding(other, batch, reportData), { code: "binding-mismatch" });
    }
  }
});

test("32: no code but the reporter's asks the device", () => {
  const users = readSources()
    .filter(({ isTest, tier }) => !isTest && tier !== "tools")
    .filter(({ path, text }) => path !== "services/kit/src/tsm.ts" && /\brequestReport\b/.test(text))
    .map(({ path }) => path);
  assert.deepEqual(users, ["services/attester/src/reporter/main.ts"]);
});

/** Every file below a path. */
function filesBelow(path: string): string[] {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path).flatMap((name) => filesBelow(join(path, name)));
}

test("32: every file that the reporter can load is measured, in every service that starts it", async () => {
  const { args } = reporterCommand({ role: "predictor", device: "/device", recent: [] });
  const flag = "--allow-fs-read=";
  const readable = args
    .filter((arg) => arg.startsWith(flag) && arg !== `${flag}/device`)
    .map((arg) => arg.slice(flag.length));
  assert.ok(readable.length > 5);
  const loadable = readable
    .filter((path) => !path.startsWith(join(root, "node_modules"))) // links to the folders beside them
    .flatMap(filesBelow)
    .map((path) => relative(root, path))
    .filter((path) => !/^(protocol|services)\/[a-z]+\/(test|node_modules)\/|\/README\.md$/.test(path));
  assert.ok(loadable.includes("services/attester/src/reporter/main.ts"));
  assert.ok(loadable.includes("services/kit/src/tsm.ts"));
  const config = join(createFolder(), "config.json");
  writeFileSync(config, "{}");
  for (const role of ["orchestrator", "predictor"]) {
    const { files } = await measureService({ root, role, entry: "src/main.ts", config });
    const measured = new Set(files.map(({ path }) => path));
    assert.deepEqual(
      loadable.filter((path) => !measured.has(path)),
      [],
      role,
    );
  }
});

const toy = `
import { createAttester } from "@sotto/attester";
const { SOTTO_TSM, SOTTO_RELEASE } = process.env;
const own = { tsmRoot: SOTTO_TSM, release: SOTTO_RELEASE, role: "predictor", clock: Date.now };
const attester = createAttester(own);
const field = new Uint8Array(32).fill(7);
const binding = { spkiDigest: field, nonce: field, exporter: field, requestDigest: field };
const { snp } = await attester.attest({ ...binding, role: "predictor" });
console.log(JSON.stringify({ report: snp.report.toBase64(), certificates: snp.certificates.toBase64() }));
await attester.close();
`;

/** What the report says that a launched service gets from its reporter. */
async function measuredBy(image: ServiceImage): Promise<string> {
  const launch = { image, chip, release: join(image.root, "release.json"), hints: {} };
  const { service } = await launchMachine(launch);
  const exit = once(service, "exit");
  assert.ok(service.stdout);
  for await (const line of createInterface({ input: service.stdout })) {
    const { report, certificates } = JSON.parse(line);
    assert.deepEqual(await exit, [0, null]);
    const evidence = { report: decodeBase64(report), certificates: decodeBase64(certificates) };
    const claims = await verifySimulatedEvidence(evidence, parseSimulatedRoot(chip.ark), Date.now());
    return claims.report.measurement;
  }
  throw new Error("said nothing");
}

test("32: another reporter is another measurement, and the reports that it gets say so", async () => {
  const code = "services/attester/src/reporter";
  const createToy = (): ServiceImage => {
    const image = createRunnableClone(toy, "attester");
    write(image.root, "release.json", { statement: "AAAA", proof: "x" });
    return image;
  };
  const image = createToy();
  const original = (await measureService(image)).measurement;
  assert.equal(await measuredBy(image), original);
  const names = readdirSync(join(image.root, code));
  assert.ok(names.length >= 5);
  const found = new Set([original]);
  for (const name of names) {
    const path = join(image.root, code, name);
    const text = readFileSync(path, "utf8");
    writeFileSync(path, `${text}// one more line\n`);
    found.add((await measureService(image)).measurement);
    writeFileSync(path, text);
  }
  assert.equal(found.size, names.length + 1);
  const changed = createToy();
  const entry = join(changed.root, code, "main.ts");
  writeFileSync(entry, `${readFileSync(entry, "utf8")}// one more line\n`);
  const measured = await measuredBy(changed);
  assert.notEqual(measured, original);
  assert.ok(found.has(measured));
});

/** Processes that another one has started, with their command lines and environments. */
function childrenOf({ pid }: ChildProcess): { pid: number; command: string[]; environment: string }[] {
  const read = (path: string): string => readFileSync(path, "utf8");
  const tasks = readdirSync(`/proc/${pid}/task`);
  const pids = tasks.flatMap((task) => read(`/proc/${pid}/task/${task}/children`).split(" ").filter(Boolean));
  return pids.map((child) => ({
    pid: Number(child),
    command: read(`/proc/${child}/cmdline`).split("\0"),
    environment: read(`/proc/${child}/environ`),
  }));
}

/** Whether a process still has a memory; one that has ended and that nobody has asked about has none. */
function isAlive(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8") !== "";
  } catch {
    return false;
  }
}

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  test(`32: a service has one reporter, of its own role, which goes with it: ${signal}`, {
    skip: process.platform !== "linux" && "processes cannot be found by their parent",
  }, async () => {
    const device = join(createFolder(), "tsm");
    mkdirSync(device);
    const env = await environmentOf("orchestrator", await configOf("orchestrator"), { SOTTO_TSM: device });
    const service = await boot("orchestrator", env);
    assert.ok("address" in service, "it boots");
    const entry = reporterCommand({ role: "orchestrator", device, recent: [] }).entry;
    const [reporter, ...more] = childrenOf(service.process).filter(({ command }) => command.includes(entry));
    assert.ok(reporter !== undefined && more.length === 0);
    const { command, environment, pid } = reporter;
    assert.equal(environment, "");
    assert.deepEqual(command.slice(command.indexOf(entry) + 1, -1), ["orchestrator", device, ""]);
    assert.ok(command.includes("--permission"));
    service.process.kill(signal);
    await once(service.process, "exit");
    for (let tries = 0; isAlive(pid) && tries < 1000; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 5));
    assert.ok(!isAlive(pid));
  });
}
