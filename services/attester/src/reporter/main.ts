// The reporter as a process, started by the attester: without any permission but to use the device's folder, and to
// read this code until it is loaded. It says nothing but its few words, and an exit code.
import { requestReport } from "@sotto/kit/tsm";
import { createReporter } from "./reporter.ts";
import { exitCode, parseSeat } from "./seat.ts";
import { systemTimer } from "./timer.ts";

const graceMs = 2000;
const readFlag = "--allow-fs-read=";
const outward = ["net", "child", "worker", "wasi", "inspector", "ffi", "addon"] as const;

const crash = (): never => process.exit(exitCode.software);
process.on("uncaughtException", crash);
process.on("unhandledRejection", crash);
process.on("SIGINT", () => {}); // a terminal sends it to all, and the service ends in its own order

const { role, device, recent } = parseSeat(process.argv.slice(2));

/** Gives up what it took to load; false where the process could do more than it is made for. */
function lockDown(): boolean {
  const { permission } = process;
  if (permission === undefined) return false;
  for (const flag of process.execArgv) {
    const path = flag.startsWith(readFlag) ? flag.slice(readFlag.length) : device;
    if (path !== device) permission.drop("fs.read", path);
  }
  const isOpen = outward.some((scope) => permission.has(scope));
  const own = import.meta.filename;
  return !isOpen && !permission.has("fs.read", own) && !permission.has("fs.write", own);
}

/** Ends once everything that was said has left. */
function leave(code: number): void {
  process.stdout.write("", () => process.exit(code));
}

if (!lockDown()) crash();
const reporter = createReporter({
  role,
  recent,
  report: (reportData) => requestReport(device, reportData),
  clock: () => performance.now(),
  timer: systemTimer,
  send: (answer) => void process.stdout.write(answer),
  onLost: () => leave(exitCode.deviceLost),
});
process.stdout.on("error", crash);
process.stdin
  .on("error", crash)
  .on("data", (bytes: Uint8Array) => {
    try {
      reporter.receive(bytes);
    } catch {
      process.exit(exitCode.malformed);
    }
  })
  .on("end", () => {
    setTimeout(crash, graceMs).unref();
    reporter.end().then(
      () => leave(0),
      () => process.exit(exitCode.malformed),
    );
  });
