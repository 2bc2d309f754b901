// The guest's report interface as a service uses it, against devices that behave and devices that do not.
import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemRandom } from "@sotto/base";
import { ReportError, type ReportErrorCode, requestReport } from "@sotto/kit";

const base = mkdtempSync(join(tmpdir(), "sotto-tsm-test-"));
after(() => rmSync(base, { recursive: true, force: true }));

type Behaviour = {
  readonly provider?: string;
  readonly generation?: (writes: number) => string;
  readonly report?: (inblob: Buffer) => Uint8Array;
  readonly refuse?: boolean;
  readonly silent?: boolean;
  readonly unprepared?: boolean;
};

/** A device in a folder: one look a millisecond at what the guest has written. */
function openDevice(behaviour: Behaviour): { root: string; seen: Map<string, string>; close: () => void } {
  const root = mkdtempSync(join(base, "device-"));
  const seen = new Map<string, string>();
  const prepare = (folder: string): void => {
    writeFileSync(join(folder, "provider"), behaviour.provider ?? "sev_guest\n");
    writeFileSync(join(folder, "privlevel"), "");
    writeFileSync(join(folder, "inblob"), "");
  };
  const answer = (folder: string): void => {
    const inblob = readFileSync(join(folder, "inblob"));
    if (inblob.length === 0 || behaviour.silent) return;
    const privlevel = readFileSync(join(folder, "privlevel"), "utf8");
    seen.set(inblob.toString("hex"), privlevel);
    const writes = privlevel === "" ? 1 : 2;
    writeFileSync(join(folder, "generation"), behaviour.generation?.(writes) ?? `${writes}\n`);
    writeFileSync(join(folder, "auxblob"), "certificates");
    // All at once, as the kernel gives it.
    const outblob = join(base, `outblob-${inblob.toString("hex").slice(0, 16)}`);
    if (behaviour.refuse) mkdirSync(outblob);
    else writeFileSync(outblob, behaviour.report?.(inblob) ?? Buffer.concat([inblob, inblob]));
    renameSync(outblob, join(folder, "outblob"));
  };
  const prepared = new Set<string>(); // once each: a folder that is being emptied stays empty
  const done = new Set<string>();
  const timer = setInterval(() => {
    for (const name of readdirSync(root)) {
      const folder = join(root, name);
      try {
        if (!prepared.has(name)) {
          prepared.add(name);
          if (!behaviour.unprepared) prepare(folder);
        } else if (!done.has(name) && statSync(join(folder, "inblob")).size > 0) {
          done.add(name);
          answer(folder);
        }
      } catch {
        // the guest took its folder away
      }
    }
  }, 1);
  return { root, seen, close: () => clearInterval(timer) };
}

async function refuses(behaviour: Behaviour, code: ReportErrorCode, timeoutMs = 2000): Promise<void> {
  const device = openDevice(behaviour);
  try {
    await assert.rejects(
      requestReport(device.root, systemRandom(64), { timeoutMs }),
      (error: unknown) => error instanceof ReportError && error.code === code,
    );
    assert.deepEqual(readdirSync(device.root), [], "the request leaves nothing behind");
  } finally {
    device.close();
  }
}

test("a report and its certificates come back, and the folder goes", async () => {
  const device = openDevice({});
  const data = systemRandom(64);
  const { report, certificates } = await requestReport(device.root, data);
  assert.deepEqual(Buffer.from(report), Buffer.concat([data, data]));
  assert.equal(Buffer.from(certificates).toString(), "certificates");
  assert.equal(device.seen.get(Buffer.from(data).toString("hex")), "");
  assert.deepEqual(readdirSync(device.root), []);
  device.close();
});

test("requests made together do not touch each other", async () => {
  const device = openDevice({});
  const asked = Array.from({ length: 16 }, () => systemRandom(64));
  const answers = await Promise.all(asked.map((data) => requestReport(device.root, data)));
  for (const [index, { report }] of answers.entries()) {
    assert.deepEqual(report.subarray(0, 64), asked[index]);
  }
  assert.deepEqual(readdirSync(device.root), []);
  device.close();
});

test("a privilege level is one more write, and the device counts it", async () => {
  const device = openDevice({});
  const data = systemRandom(64);
  await requestReport(device.root, data, { privlevel: 2 });
  assert.equal(device.seen.get(Buffer.from(data).toString("hex")), "2\n");
  device.close();
});

test("other hardware, a raced folder and broken answers are refused, each by its code", async () => {
  await refuses({ provider: "tdx_guest\n" }, "wrong-provider");
  await refuses({ generation: (writes) => `${writes + 1}\n` }, "raced");
  await refuses({ generation: () => "" }, "raced");
  await refuses({ report: () => new Uint8Array(0) }, "malformed");
  await refuses({ report: () => new Uint8Array(64 * 1024 + 1) }, "malformed");
  await refuses({ refuse: true }, "refused");
});

test("a device that does not answer, or is not there, is not waited for longer than asked", async () => {
  await refuses({ silent: true }, "timed-out", 60);
  await refuses({ unprepared: true }, "timed-out", 60);
  await assert.rejects(requestReport(join(base, "nowhere"), systemRandom(64)), { code: "unavailable" });
  for (const length of [0, 63, 65]) {
    await assert.rejects(requestReport(base, systemRandom(length)), { code: "malformed" });
  }
});
