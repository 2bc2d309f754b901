// A report from the guest's own interface: configfs-tsm (Linux Documentation/ABI/testing/configfs-tsm-report).
// The kernel's folder and an emulation of it are used by the same code; nothing here knows what a report says.
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Bytes, CodedError, concatBytes, copyBytes, encodeHex, systemRandom } from "@sotto/base";

export type ReportErrorCode =
  | "unavailable"
  | "wrong-provider"
  | "raced"
  | "timed-out"
  | "refused"
  | "malformed";

/** Why there is no report; after "refused" the device may never answer again. */
export class ReportError extends CodedError<ReportErrorCode> {}

export type ReportOptions = {
  /** From the request to its answer; a device that is over its rate stalls for many seconds. */
  readonly timeoutMs?: number;
  /** Privilege level to report as, 0 to 3; without it the guest's own. */
  readonly privlevel?: number;
};

export type HardwareReport = { readonly report: Bytes; readonly certificates: Bytes };

const reportDataSize = 64;
const maxBlobBytes = 64 * 1024;
const provider = "sev_guest";
const notYet = new Set(["ENOENT", "EAGAIN", "EBUSY", "EINTR"]);

/**
 * Asks the device below `tsmRoot` for a report over 64 bytes; returns it with the certificate table beside it.
 *
 * Each call has a folder of its own, and checks that nobody else wrote to it. Throws `ReportError`.
 */
export async function requestReport(
  tsmRoot: string,
  reportData: Uint8Array,
  options: ReportOptions = {},
): Promise<HardwareReport> {
  if (reportData.length !== reportDataSize) throw new ReportError("malformed", "report data: not 64 bytes");
  const folder = join(tsmRoot, `report-${encodeHex(systemRandom(16))}`);
  const deadline = performance.now() + (options.timeoutMs ?? 30_000);
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (cause) {
    throw new ReportError("unavailable", "report device: no folder can be made in it", { cause });
  }
  try {
    const writes = await writeRequest(folder, reportData, options.privlevel, deadline);
    const report = await readWhenReady(join(folder, "outblob"), deadline);
    const certificates = await readWhenReady(join(folder, "auxblob"), deadline);
    if ((await readLine(folder, "provider", deadline)) !== provider) {
      throw new ReportError("wrong-provider", "report device: another kind of hardware");
    }
    if ((await readLine(folder, "generation", deadline)) !== String(writes)) {
      throw new ReportError("raced", "report device: somebody else wrote to this request");
    }
    if (report.length === 0) throw new ReportError("malformed", "report device: empty report");
    return { report, certificates };
  } finally {
    await removeFolder(folder);
  }
}

// Number of attributes written: the device counts them too.
async function writeRequest(
  folder: string,
  reportData: Uint8Array,
  privlevel: number | undefined,
  deadline: number,
): Promise<number> {
  // In the kernel the attributes are there when mkdir returns; an emulation needs a moment, and makes inblob last.
  const inblob = await openWhenReady(join(folder, "inblob"), constants.O_WRONLY, deadline);
  try {
    if (privlevel !== undefined) {
      const attribute = await openWhenReady(join(folder, "privlevel"), constants.O_WRONLY, deadline);
      try {
        await attribute.write(`${privlevel}\n`);
      } finally {
        await attribute.close();
      }
    }
    await inblob.write(reportData); // one write: the kernel takes what was written when the file is closed
  } catch (cause) {
    throw new ReportError("refused", "report device: request refused", { cause });
  } finally {
    await inblob.close();
  }
  return privlevel === undefined ? 1 : 2;
}

async function readLine(folder: string, attribute: string, deadline: number): Promise<string> {
  return new TextDecoder().decode(await readWhenReady(join(folder, attribute), deadline)).trimEnd();
}

function openWhenReady(path: string, flags: number, deadline: number): Promise<FileHandle> {
  return retry(() => open(path, flags), deadline);
}

function readWhenReady(path: string, deadline: number): Promise<Bytes> {
  return retry(async () => {
    const file = await open(path, constants.O_RDONLY);
    try {
      return await readAll(file);
    } finally {
      await file.close();
    }
  }, deadline);
}

// Attributes do not tell their size, so read to the end, within a limit.
async function readAll(file: FileHandle): Promise<Bytes> {
  const parts: Bytes[] = [];
  let length = 0;
  for (;;) {
    const { bytesRead, buffer } = await file.read(new Uint8Array(8192));
    if (bytesRead === 0) return concatBytes(...parts);
    length += bytesRead;
    if (length > maxBlobBytes)
      throw new ReportError("malformed", "report device: answer longer than its limit");
    parts.push(copyBytes(buffer.subarray(0, bytesRead)));
  }
}

// Any other failure is final: a device that failed once may have lost its message counter for good.
async function retry<Value>(attempt: () => Promise<Value>, deadline: number): Promise<Value> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await attempt();
    } catch (cause) {
      if (cause instanceof ReportError) throw cause;
      const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
      if (!notYet.has(code)) throw new ReportError("refused", "report device: request failed", { cause });
      if (performance.now() >= deadline) {
        throw new ReportError("timed-out", "report device: no answer in time", { cause });
      }
    }
    await sleep(tries < 20 ? 1 : tries < 60 ? 5 : 25);
  }
}

// rmdir is how the kernel's folder goes; an ordinary folder has to be emptied first. What fails is left behind.
async function removeFolder(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch {
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 5 }).catch(() => undefined);
  }
}
