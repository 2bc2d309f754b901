// The life of a service process: ready line, signals, an end that says nothing but a code.
import { ConfigError } from "./config.ts";

/** What `start` hands back: where the service listens and how to end it. */
export type Service = { readonly address: string; readonly close: () => Promise<void> };

const exitSoftware = 70; // EX_SOFTWARE of sysexits
const exitConfig = 78; // EX_CONFIG

/**
 * Runs a service until it is told to end: one line on standard output when it is ready, exit on SIGTERM,
 * SIGINT or when the parent closes standard input. An uncaught error ends it with a code and no words.
 */
export function runService(name: string, start: () => Promise<Service>): void {
  let ready = false;
  const crash = (error: unknown): void => {
    process.stderr.write(
      `${JSON.stringify({ event: "crashed", service: name, ...reasonOf(error, ready) })}\n`,
    );
    process.exit(error instanceof ConfigError ? exitConfig : exitSoftware);
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
  // Warnings of the runtime are free text, and could quote anything.
  process.removeAllListeners("warning");
  process.on("warning", () => {});
  start().then((service) => {
    let ending = false;
    const end = (): void => {
      if (ending) return;
      ending = true;
      service.close().then(() => process.exit(0), crash);
    };
    process.on("SIGTERM", end);
    process.on("SIGINT", end);
    process.stdin.on("end", end).on("error", end).resume();
    ready = true;
    const line = { event: "ready", service: name, address: service.address, pid: process.pid };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }, crash);
}

/** Before a service is ready there is no user's data in it, so a code may say why; afterwards nothing may. */
function reasonOf(error: unknown, ready: boolean): { readonly code?: string; readonly why?: string } {
  if (ready || !(error instanceof Error)) return {};
  const code = "code" in error && typeof error.code === "string" ? error.code : "internal";
  // A configuration error names variables, never values; any other message could hold anything.
  return error instanceof ConfigError ? { code, why: error.message } : { code };
}
