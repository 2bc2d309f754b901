// The emulated interface: what it gives the guest that asks properly, and what it does with one that does not.
import assert from "node:assert/strict";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { amdRoots, parseSnpReport, verifySimulatedEvidence, verifySnpEvidence } from "@sotto/attestation";
import { createReportSigner, createSimulatedChip, parseSimulatedRoot } from "@sotto/attestation/software";
import { systemRandom } from "@sotto/base";
import { requestReport } from "@sotto/kit";
import { createReportBudget, openReportDevice, type ReportDevice } from "@sotto/tee";
import fc from "fast-check";
import { createFolder } from "./clone.ts";

const chip = await createSimulatedChip(Date.now(), systemRandom);
const measurement = "cd".repeat(48);
const signer = await createReportSigner(chip, measurement);
const devices: ReportDevice[] = [];
after(() => {
  for (const device of devices) device.close();
});

function openDevice(): { folder: string; device: ReportDevice } {
  const folder = join(createFolder(), "tsm");
  const device = openReportDevice({ folder, certificates: chip.certificates, signer });
  devices.push(device);
  return { folder, device };
}

/** A request made by hand: returns its folder once the attributes are there. */
async function prepare(folder: string, name: string): Promise<string> {
  mkdirSync(join(folder, name));
  await until(() => existsSync(join(folder, name, "inblob")));
  return join(folder, name);
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    assert.ok(tries < 2000, "waited in vain");
    await sleep(2);
  }
}

test("a service's request gets evidence that verifies as simulated, and never as AMD's", async () => {
  const { folder, device } = openDevice();
  const reportData = systemRandom(64);
  const evidence = await requestReport(folder, reportData);
  const claims = await verifySimulatedEvidence(evidence, parseSimulatedRoot(chip.ark), Date.now());
  assert.equal(claims.origin, "simulated");
  assert.equal(claims.report.measurement, measurement);
  assert.deepEqual(claims.report.reportData, reportData);
  assert.equal(claims.report.vmpl, 0);
  await assert.rejects(verifySnpEvidence(evidence, amdRoots, Date.now()), { code: "untrusted-root" });
  const other = await requestReport(folder, reportData, { privlevel: 3 });
  assert.equal(parseSnpReport(other.report).vmpl, 3);
  assert.equal(parseSnpReport(other.report).reportId, claims.report.reportId);
  assert.equal(device.reportsMade(), 2);
  assert.deepEqual(readdirSync(folder), []);
  assert.equal(statSync(folder).mode & 0o077, 0);
});

test("attributes read as the kernel's do, and every write is counted", async () => {
  const { folder } = openDevice();
  const request = await prepare(folder, "by-hand");
  const read = (name: string): string => readFileSync(join(request, name), "latin1");
  assert.equal(read("provider"), "sev_guest\n");
  assert.equal(read("generation"), "0\n");
  assert.equal(read("privlevel_floor"), "0\n");
  assert.ok(!existsSync(join(request, "outblob")));
  for (const generation of [1, 2]) {
    const reportData = systemRandom(64);
    writeFileSync(join(request, "inblob"), reportData);
    await until(() => read("generation") === `${generation}\n`);
    await until(() => existsSync(join(request, "outblob")));
    const report = new Uint8Array(readFileSync(join(request, "outblob")));
    assert.deepEqual(parseSnpReport(report).reportData, reportData);
    assert.deepEqual(new Uint8Array(readFileSync(join(request, "auxblob"))), chip.certificates);
  }
});

test("what the hardware refuses stays refused: other lengths, impossible privilege levels", async () => {
  const { folder, device } = openDevice();
  for (const length of [1, 63, 65, 4096]) {
    const request = await prepare(folder, `length-${length}`);
    writeFileSync(join(request, "inblob"), systemRandom(length));
    await until(() => existsSync(join(request, "outblob")));
    assert.throws(() => readFileSync(join(request, "outblob")), { code: "EISDIR" });
    assert.ok(!existsSync(join(request, "auxblob")));
  }
  for (const level of [4, -1, 1.5]) {
    const refused = requestReport(folder, systemRandom(64), { privlevel: level });
    await assert.rejects(refused, { code: "refused" });
  }
  assert.equal(device.reportsMade(), 0);
});

test("a request may be written in two pieces", async () => {
  const { folder } = openDevice();
  const request = await prepare(folder, "pieces");
  const reportData = systemRandom(64);
  appendFileSync(join(request, "inblob"), reportData.subarray(0, 10));
  appendFileSync(join(request, "inblob"), reportData.subarray(10));
  await until(() => existsSync(join(request, "outblob")));
  const report = new Uint8Array(readFileSync(join(request, "outblob")));
  assert.deepEqual(parseSnpReport(report).reportData, reportData);
});

test("hostile names and links are left alone, and the device goes on", async () => {
  const { folder } = openDevice();
  const outside = createFolder();
  writeFileSync(join(outside, "victim"), "untouched");
  const names = ["..hidden", ".dot", "new\nline", "spa ce", "-dash", "\u202e", "x".repeat(200)];
  for (const name of names) mkdirSync(join(folder, name));
  symlinkSync(outside, join(folder, "link"));
  writeFileSync(join(folder, "file"), systemRandom(64));
  mkdirSync(join(folder, "filled"));
  symlinkSync(join(outside, "victim"), join(folder, "filled", "provider"));
  symlinkSync(join(outside, "victim"), join(folder, "filled", "inblob"));

  const swapped = await prepare(folder, "swapped");
  rmSync(join(swapped, "inblob"));
  writeFileSync(join(outside, "data"), systemRandom(64));
  symlinkSync(join(outside, "data"), join(swapped, "inblob"));

  const linked = await prepare(folder, "linked");
  symlinkSync(join(outside, "victim"), join(linked, "outblob"));
  writeFileSync(join(linked, "inblob"), systemRandom(64));
  await until(() => readFileSync(join(linked, "outblob")).length === 1184);

  const moved = await prepare(folder, "moved");
  rmSync(moved, { recursive: true });
  symlinkSync(outside, moved);

  await requestReport(folder, systemRandom(64));
  assert.deepEqual(readdirSync(outside).sort(), ["data", "victim"]);
  assert.equal(readFileSync(join(outside, "victim"), "utf8"), "untouched");
  for (const name of names) assert.deepEqual(readdirSync(join(folder, name)), [], name);
  assert.ok(!existsSync(join(swapped, "outblob")));
});

test("over the rate the device stalls: ten are answered, the eleventh waits", async () => {
  const { folder, device } = openDevice();
  for (let count = 0; count < 10; count += 1) await requestReport(folder, systemRandom(64));
  await assert.rejects(requestReport(folder, systemRandom(64), { timeoutMs: 150 }), { code: "timed-out" });
  assert.equal(device.reportsMade(), 10);
});

test("there are never more than ten reports in ten seconds, and none waits without need", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(4000), { maxLength: 80 }), (pauses) => {
      const budget = createReportBudget();
      let now = 0;
      const due = pauses.map((pause) => {
        now += pause;
        return now + budget.reserve(now);
      });
      now = 0;
      for (const [index, at] of due.entries()) {
        now += pauses[index] ?? 0;
        const tenth = due[index - 10];
        assert.equal(at, Math.max(now, tenth === undefined ? 0 : tenth + 10_000));
      }
    }),
  );
});

test("a closed device answers nobody", async () => {
  const { folder, device } = openDevice();
  device.close();
  await assert.rejects(requestReport(folder, systemRandom(64), { timeoutMs: 60 }), { code: "timed-out" });
});
