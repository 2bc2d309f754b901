// A reporter without a process of its own, over a device that is a function: the same code and the same words, for tests
// and benchmarks. No service starts one.
import { PassThrough } from "node:stream";
import { createReporter, type ReporterOptions } from "./reporter/reporter.ts";
import { exitCode } from "./reporter/seat.ts";
import type { ReporterConnection } from "./reporter-process.ts";

/** Starts one. */
export function startInnerReporter(options: Omit<ReporterOptions, "send" | "onLost">): ReporterConnection {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const { promise: ended, resolve } = Promise.withResolvers<number | undefined>();
  const end = (code: number | undefined): void => {
    input.destroy();
    output.end(() => resolve(code));
  };
  const reporter = createReporter({
    ...options,
    send: (answer) => void (output.writableEnded || output.write(answer)),
    onLost: () => end(exitCode.deviceLost),
  });
  input
    .on("data", (bytes: Uint8Array) => {
      try {
        reporter.receive(bytes);
      } catch {
        end(exitCode.malformed);
      }
    })
    .on("end", () => void reporter.end().then(() => end(0)));
  return { input, output, kill: () => end(undefined), ended };
}
