// What the tests play on: time that they move, a device that answers when told to with reports that verify, and sessions.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import {
  boundParts,
  type EvidenceBundle,
  parseSnpReport,
  type SessionBinding,
  sessionLeaf,
  verifyBinding,
} from "@sotto/attestation";
import { createReportSigner } from "@sotto/attestation/software";
import { AttesterError, type AttesterOptions, createAttester } from "@sotto/attester";
import { type Bytes, encodeBase64, encodeUtf8 } from "@sotto/base";
import { chip, measurement } from "../../../protocol/attestation/test/stage.ts";
import type { Timer } from "../src/reporter/timer.ts";

export const folder: string = mkdtempSync(join(tmpdir(), "sotto-attester-"));
after(() => rmSync(folder, { recursive: true, force: true }));

export const writeRelease = (path: string, statement: Bytes, proof: string): void =>
  writeFileSync(path, JSON.stringify({ statement: encodeBase64(statement), proof }));
export const release: string = join(folder, "release.json");
writeRelease(release, encodeUtf8("statement"), "proof");

/** A session of this number: the same channel each time, and no other's. */
export function bindingOf(session: number, role: SessionBinding["role"] = "predictor"): SessionBinding {
  const field = (kind: number): Bytes => {
    const bytes = new Uint8Array(32).fill(kind);
    new DataView(bytes.buffer).setUint32(0, session);
    return bytes;
  };
  return { role, spkiDigest: field(1), nonce: field(2), exporter: field(3), requestDigest: field(4) };
}

/** Whether the report in a bundle is about a session. */
export function vouchesFor(bundle: EvidenceBundle, binding: SessionBinding): boolean {
  try {
    const { reportData } = parseSnpReport(bundle.snp.report);
    verifyBinding(sessionLeaf(binding, boundParts(bundle)), bundle.batch, reportData);
    return true;
  } catch {
    return false;
  }
}

/** Time that stands still until it is moved; what is due then runs, in its order. */
export function createTime() {
  let now = 1_000_000;
  const due = new Map<object, { readonly at: number; readonly run: () => void }>();
  const timer: Timer = (delayMs, run) => {
    const key = {};
    due.set(key, { at: now + delayMs, run });
    return () => void due.delete(key);
  };
  const advance = (delayMs: number): void => {
    const end = now + delayMs;
    for (;;) {
      const [next] = [...due].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at);
      if (next === undefined) break;
      due.delete(next[0]);
      now = Math.max(now, next[1].at);
      next[1].run();
    }
    now = end;
  };
  return { clock: () => now, timer, advance, waiting: () => due.size };
}

export type Asked = {
  readonly at: number;
  readonly data: Bytes;
  readonly answer: () => void;
  readonly fail: (error: Error) => void;
};

const signer = await createReportSigner(chip, measurement);
export const signReport = async (data: Bytes): Promise<{ report: Bytes; certificates: Bytes }> => ({
  report: await signer.sign(data),
  certificates: chip.certificates,
});

/** A device that answers when told to. */
export function createDevice(clock: () => number) {
  const asked: Asked[] = [];
  const report = (data: Bytes): ReturnType<typeof signReport> =>
    new Promise((resolve, reject) => {
      asked.push({ at: clock(), data, answer: () => resolve(signReport(data)), fail: reject });
    });
  return { asked, report };
}

/** An attester with such a device, its reporter in this process, and time of its own. */
export function createFixture(options: Partial<AttesterOptions> = {}) {
  const time = createTime();
  const device = createDevice(time.clock);
  const own = { tsmRoot: "/nowhere", release, role: "predictor", ...time, report: device.report } as const;
  return { attester: createAttester({ ...own, ...options }), asked: device.asked, ...time };
}

/** Lets everything happen that does not wait for time or the device. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 12; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits for something that another process brings about. */
export async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    assert.ok(tries < 4000, "waited in vain");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function rejects(promise: Promise<unknown>, code: AttesterError["code"]): Promise<void> {
  return assert.rejects(promise, (error: unknown) => error instanceof AttesterError && error.code === code);
}
