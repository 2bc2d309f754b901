// The life of a service process: ready line, signals, an end that says nothing but a code.
import { CodedError } from "@sotto/base";
import manifest from "../package.json" with { type: "json" };
import { ConfigError } from "./config.ts";

/** What `start` hands back: where the service listens and how to end it. */
export type Service = { readonly address: string; readonly close: () => Promise<void> };

/** What `start` is given: `nameBuild` takes the digest of the measured code, which a crash then tells the build by. */
export type ServiceLife = { readonly nameBuild: (codeDigest: string) => void };

const exitSoftware = 70; // EX_SOFTWARE of sysexits
const exitConfig = 78; // EX_CONFIG
const codePattern = /^[a-z0-9-]{1,40}$/;
const variablePattern = /^SOTTO_[A-Z0-9_]{1,40}$/;
const digestPattern = /^sha256:([0-9a-f]{12})[0-9a-f]{52}$/;

/**
 * Runs a service until it is told to end: one line on standard output when it is ready, exit on SIGTERM,
 * SIGINT or when the parent closes standard input. An uncaught error ends it with a code and no words.
 */
export function runService(name: string, start: (life: ServiceLife) => Promise<Service>): void {
  let ready = false;
  let build: string = manifest.version;
  const crash = (error: unknown): void => {
    const { exit, ...reason } = ready ? { exit: exitSoftware } : judge(error);
    process.stderr.write(`${JSON.stringify({ event: "crashed", service: name, exit, build, ...reason })}\n`);
    process.exit(exit);
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
  // Warnings of the runtime are free text, and could quote anything.
  process.removeAllListeners("warning");
  process.on("warning", () => {});
  // Without a listener this signal opens a debugger, to which memory is a book.
  process.on("SIGUSR1", () => {});
  process.stderr.on("error", () => {}); // a log that nobody reads is no reason to end
  const nameBuild = (codeDigest: string): void => {
    build = digestPattern.exec(codeDigest)?.[1] ?? build;
  };
  start({ nameBuild }).then((service) => {
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

type Judgement = {
  readonly exit: number;
  readonly code?: string;
  readonly variables?: readonly string[];
};

/**
 * Before a service is ready there is no user's data in it, so the code of an error of ours may say why, and which
 * variables of its schema lead there. Never a message: anything could have been put into it.
 */
function judge(error: unknown): Judgement {
  try {
    if (!(error instanceof CodedError)) return { exit: exitSoftware };
    const exit = error instanceof ConfigError ? exitConfig : exitSoftware;
    const code: unknown = error.code;
    if (typeof code !== "string" || !codePattern.test(code)) return { exit };
    const given = error instanceof ConfigError ? error.variables : [];
    const variables = given.filter((one) => typeof one === "string" && variablePattern.test(one));
    return variables.length === 0 ? { exit, code } : { exit, code, variables };
  } catch {
    return { exit: exitSoftware }; // what is thrown may itself throw when it is looked at
  }
}
