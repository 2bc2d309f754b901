// Emulates the guest's report interface, configfs-tsm, in an ordinary folder: whoever makes a folder in it and
// writes 64 bytes to its `inblob` finds a report in its `outblob`. Ten reports in ten seconds, as the hardware.
import {
  type FSWatcher,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  watch,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { ReportSigner, SimulatedChip } from "@sotto/attestation/software";
import type { Bytes } from "@sotto/base";

export type ReportDeviceOptions = {
  readonly folder: string;
  readonly chip: SimulatedChip;
  readonly signer: ReportSigner;
  readonly clock: () => number;
};

export type ReportDevice = { readonly close: () => void; readonly reportsMade: () => number };

const reportDataSize = 64;
const bucketSize = 10;
const windowMs = 10_000;
const pollMs = 20;

/** Starts the device on a folder of its own. */
export function openReportDevice(options: ReportDeviceOptions): ReportDevice {
  mkdirSync(options.folder, { recursive: true, mode: 0o700 });
  const prepared = new Set<string>();
  const answered = new Set<string>();
  const watchers = new Map<string, FSWatcher>();
  let made: number[] = [];
  let total = 0;
  let closed = false;

  const scan = (): void => {
    if (closed) return;
    const names = new Set(readdirSync(options.folder));
    for (const name of names) {
      const folder = join(options.folder, name);
      if (!prepared.has(name)) prepare(name, folder);
      if (prepared.has(name) && !answered.has(name)) answer(name, folder);
    }
    for (const name of prepared) {
      if (names.has(name)) continue;
      prepared.delete(name);
      answered.delete(name);
      watchers.get(name)?.close();
      watchers.delete(name);
    }
  };

  const prepare = (name: string, folder: string): void => {
    try {
      if (!statSync(folder).isDirectory()) return;
      writeFileSync(join(folder, "provider"), "sev_guest\n");
      writeFileSync(join(folder, "generation"), "0\n");
      writeFileSync(join(folder, "privlevel_floor"), "0\n");
      writeFileSync(join(folder, "inblob"), "", { flag: "wx" });
      watchers.set(
        name,
        watch(folder, scan).on("error", () => {}),
      );
      prepared.add(name);
    } catch {
      // The folder went away while it was being filled.
    }
  };

  const answer = (name: string, folder: string): void => {
    let reportData: Bytes;
    try {
      reportData = new Uint8Array(readFileSync(join(folder, "inblob")));
    } catch {
      return;
    }
    if (reportData.length !== reportDataSize) return;
    const now = options.clock();
    made = made.filter((at) => now - at < windowMs);
    // Over the rate the device is silent until there is room, as the hardware is.
    if (made.length >= bucketSize) return;
    made.push(now);
    total += 1;
    answered.add(name);
    options.signer.sign(reportData).then(
      (report) => {
        try {
          writeFileSync(join(folder, "generation"), "1\n");
          publish(folder, "auxblob", options.chip.certificates);
          publish(folder, "outblob", report);
        } catch {
          // The asker gave up and took the folder away.
        }
      },
      () => {},
    );
  };

  const watcher = watch(options.folder, scan).on("error", () => {});
  const timer = setInterval(scan, pollMs);
  return {
    reportsMade: () => total,
    close: () => {
      closed = true;
      clearInterval(timer);
      watcher.close();
      for (const inner of watchers.values()) inner.close();
    },
  };
}

function publish(folder: string, name: string, bytes: Bytes): void {
  writeFileSync(join(folder, `.${name}`), bytes);
  renameSync(join(folder, `.${name}`), join(folder, name));
}
