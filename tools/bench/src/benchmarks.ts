// The benchmarks by name; each loads only when it is asked for.
import type { BenchReport } from "./report.ts";
import type { RoundOptions } from "./rounds.ts";

export type Benchmark = {
  readonly summary: string;
  readonly run: (options: RoundOptions) => Promise<BenchReport>;
};

export const benchmarks: Readonly<Record<string, Benchmark>> = {
  e2e: {
    summary: "the whole path: added time to first token, throughput, against the same engine over plain HTTP",
    run: async (options) => (await import("./e2e.ts")).benchE2e(options),
  },
  sealed: {
    summary: "sealed processes: their processor time and the time they add to the first token, against none",
    run: async (options) => (await import("./sealed.ts")).benchSealed(options),
  },
  session: {
    summary:
      "an attested session: processor time of client and server, bytes and round trips, against TLS alone",
    run: async (options) => (await import("./session.ts")).benchSession(options),
  },
  ohttp: {
    summary: "gateway: decapsulate and respond, against raw X25519 import and agreement",
    run: async (options) => (await import("./ohttp.ts")).benchOhttp(options),
  },
};
