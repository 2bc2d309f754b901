// The guest's report interface, configfs-tsm, emulated in an ordinary folder: whoever makes a folder in it and writes
// 64 bytes to its `inblob` finds a report in its `outblob` (Linux Documentation/ABI/testing/configfs-tsm-report).
// Differs from the kernel where a folder must: attributes appear a moment after mkdir, the report after the write.
import { type FSWatcher, lstatSync, mkdirSync, readdirSync, rmSync, watch } from "node:fs";
import { join } from "node:path";
import type { ReportSigner } from "@sotto/attestation/software";
import { type Bytes, ByteWriter, type Clock, decodeUtf8 } from "@sotto/base";
import { createReportBudget } from "./report-budget.ts";
import { createReportFolder, type ReportFolder, type Written } from "./report-folder.ts";

export type ReportDeviceOptions = {
  /** Made here, for this device alone. */
  readonly folder: string;
  /** Goes out with every report. */
  readonly certificates: Bytes;
  readonly signer: ReportSigner;
  /** Milliseconds that never go back. */
  readonly clock?: Clock;
};

export type ReportDevice = { readonly close: () => void; readonly reportsMade: () => number };

type Request = {
  readonly folder: ReportFolder;
  readonly watcher: FSWatcher | undefined;
  inblobStamp: string;
  privlevelStamp: string;
  privlevel: number | undefined;
  generation: number;
  shortSince: number | undefined;
};

const reportDataSize = 64;
const maxRequests = 256;
const pollMs = 25; // for what the watchers do not tell
const shortWriteMs = 50; // a write that is still shorter after this will not grow
const requestName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** Starts the device. What happens in its folder is all it listens to; `close` ends it. */
export function openReportDevice(options: ReportDeviceOptions): ReportDevice {
  const clock = options.clock ?? (() => performance.now());
  const staging = `${options.folder}.staging`;
  for (const folder of [options.folder, staging]) mkdirSync(folder, { mode: 0o700 });
  const requests = new Map<string, Request | undefined>(); // undefined: not one, and not looked at again
  const budget = createReportBudget();
  let made = 0;
  let closed = false;

  const scan = (): void => {
    if (closed) return;
    const entries = listEntries(options.folder);
    const names = new Set(entries.map(({ name }) => name));
    for (const [name, request] of requests) {
      if (names.has(name)) continue;
      request?.watcher?.close();
      requests.delete(name);
    }
    for (const { name, isFolder } of entries) {
      if (!requests.has(name) && requests.size < maxRequests) {
        requests.set(name, isFolder && requestName.test(name) ? admit(name) : undefined);
      }
      const request = requests.get(name);
      if (request !== undefined) examine(name, request);
    }
  };

  const admit = (name: string): Request | undefined => {
    const path = join(options.folder, name);
    const watcher = watchFolder(path, () => {
      const request = requests.get(name);
      if (request !== undefined && !closed) examine(name, request);
    });
    try {
      const state = {
        inblobStamp: "",
        privlevelStamp: "",
        privlevel: undefined,
        generation: 0,
        shortSince: undefined,
      };
      return { folder: createReportFolder(path, staging), watcher, ...state };
    } catch {
      watcher?.close(); // gone again, or the guest had put something there
      return undefined;
    }
  };

  const examine = (name: string, request: Request): void => {
    const level = request.folder.read("privlevel");
    if (level !== undefined && level.bytes.length > 0 && level.stamp !== request.privlevelStamp) {
      request.privlevelStamp = level.stamp;
      request.generation += 1;
      request.privlevel = parsePrivlevel(level.bytes);
    }
    const inblob = request.folder.read("inblob");
    if (inblob === undefined || inblob.bytes.length === 0 || inblob.stamp === request.inblobStamp) return;
    if (inblob.bytes.length < reportDataSize) {
      // The guest may be writing still. SNP takes exactly 64 bytes, although the interface takes up to 64.
      request.shortSince ??= clock();
      if (clock() - request.shortSince < shortWriteMs) return;
    }
    request.shortSince = undefined;
    request.inblobStamp = inblob.stamp;
    request.generation += 1;
    answer(name, request, inblob).catch(() => undefined); // the guest took its folder away
  };

  const answer = async (name: string, request: Request, { bytes, stamp }: Written): Promise<void> => {
    const { privlevel, generation } = request;
    if (bytes.length !== reportDataSize || (request.privlevelStamp !== "" && privlevel === undefined)) {
      request.folder.publish([["generation", `${generation}\n`]]);
      request.folder.refuse();
      return;
    }
    const delayMs = budget.reserve(clock());
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs).unref());
    const vmpl = privlevel === undefined ? {} : { vmpl: new ByteWriter().u32le(privlevel).finish() };
    const report = await options.signer.sign(bytes, vmpl);
    // A later write has its own answer.
    if (closed || requests.get(name) !== request || request.inblobStamp !== stamp) return;
    made += 1;
    request.folder.publish([
      ["generation", `${generation}\n`],
      ["auxblob", options.certificates],
      ["outblob", report],
    ]);
  };

  const watcher = watchFolder(options.folder, scan);
  const timer = setInterval(scan, pollMs);
  return {
    reportsMade: () => made,
    close: () => {
      closed = true;
      clearInterval(timer);
      watcher?.close();
      for (const request of requests.values()) request?.watcher?.close();
      rmSync(staging, { recursive: true, force: true });
    },
  };
}

function listEntries(folder: string): { name: string; isFolder: boolean }[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).map((entry) => ({
      name: entry.name,
      isFolder: entry.isDirectory(),
    }));
  } catch {
    return [];
  }
}

// Where folders cannot be watched, the timer is enough.
function watchFolder(folder: string, onChange: () => void): FSWatcher | undefined {
  try {
    if (!lstatSync(folder).isDirectory()) return undefined;
    return watch(folder, onChange).on("error", () => undefined);
  } catch {
    return undefined;
  }
}

// As the kernel reads it: a number from the floor, here 0, to 3.
function parsePrivlevel(bytes: Bytes): number | undefined {
  let text: string;
  try {
    text = decodeUtf8(bytes);
  } catch {
    return undefined;
  }
  return /^[0-3]\n?$/.test(text) ? Number(text.trim()) : undefined;
}
