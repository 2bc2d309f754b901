// The launcher's process: `node main.ts LAUNCH.json`; lives exactly as long as its service, and ends with its code.
import { constants } from "node:os";
import { readLaunchFile } from "./launch-file.ts";
import { launchMachine } from "./machine.ts";
import { TeeError } from "./tee-error.ts";

const graceMs = 5000;
const exitSoftware = 70; // EX_SOFTWARE of sysexits

async function run(path: string): Promise<void> {
  const { service } = await launchMachine({ ...readLaunchFile(path), output: "inherit" });
  const end = (): void => {
    service.kill("SIGTERM");
    setTimeout(() => service.kill("SIGKILL"), graceMs).unref();
  };
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, end);
  process.stdin.on("end", end).on("error", end).resume(); // the parent is gone
  process.on("exit", () => service.kill("SIGKILL"));
  service.once("exit", (code, signal) => {
    process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
  });
}

run(process.argv[2] ?? "").catch((error: unknown) => {
  const why = error instanceof TeeError ? { code: error.code, why: error.message } : { code: "internal" };
  process.stderr.write(`${JSON.stringify({ event: "launch-failed", ...why })}\n`);
  process.exit(exitSoftware);
});
