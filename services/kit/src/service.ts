// The life of a service process: ready line, signals, an end that says nothing but a code.

/** What `start` hands back: where the service listens and how to end it. */
export type Service = { readonly address: string; readonly close: () => Promise<void> };

const exitSoftware = 70; // EX_SOFTWARE of sysexits
const exitConfig = 78; // EX_CONFIG

/**
 * Runs a service until it is told to end: one line on standard output when it is ready, exit on SIGTERM,
 * SIGINT or when the parent closes standard input. An uncaught error ends it with a code and no words.
 */
export function runService(name: string, start: () => Promise<Service>): void {
  const emit = (event: string, fields: object): void => {
    process.stdout.write(`${JSON.stringify({ event, service: name, ...fields })}\n`);
  };
  const crash = (error: unknown): void => {
    const code =
      error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "internal";
    const config = error instanceof Error && error.name === "ConfigError";
    // A configuration error names variables, never values; any other message could hold anything.
    process.stderr.write(
      `${JSON.stringify({ event: "crashed", service: name, code, ...(config ? { why: error.message } : {}) })}\n`,
    );
    process.exit(config ? exitConfig : exitSoftware);
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
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
    emit("ready", { address: service.address, pid: process.pid });
  }, crash);
}
