// Makes evidence for sessions. The report in it comes from the reporter, a process of its own that alone uses the
// device; sessions that arrive while one is being made share the next, and each gets the path of its own leaf.
import { resolve } from "node:path";
import {
  boundParts,
  type EvidenceBundle,
  type PeerEvidence,
  type SandboxLayer,
  type SessionBinding,
  sessionDigests,
} from "@sotto/attestation";
import type { Bytes, Clock } from "@sotto/base";
import { AttesterError } from "./attester-error.ts";
import { startInnerReporter } from "./inner-reporter.ts";
import { openReleaseFile } from "./release-file.ts";
import { systemTimer, type Timer } from "./reporter/timer.ts";
import { openReporterDesk } from "./reporter-desk.ts";
import { startReporter } from "./reporter-process.ts";

export type AttesterOptions = {
  /** The folder of the report device, which the reporter gets to itself. */
  readonly tsmRoot: string;
  /** Path of the release file. */
  readonly release: string;
  readonly role: SessionBinding["role"];
  readonly clock: Clock;
  /** A device in this process, for tests and benchmarks; the reporter is then in this process too. */
  readonly report?: (reportData: Bytes) => Promise<{ readonly report: Bytes; readonly certificates: Bytes }>;
  /** That of the platform unless a test has time of its own. */
  readonly timer?: Timer;
};

/** What a session adds to the evidence: whom it relies on, and the layers around the process that serves it. */
export type SessionParts = {
  readonly peers?: readonly PeerEvidence[];
  /** In canonical order; none is claimed that was not found at the start of that very process. */
  readonly layers: readonly SandboxLayer[];
};

export type Attester = {
  /** Evidence for one session of this role; rejects with `busy` when too many wait, or would wait for too long. */
  readonly attest: (binding: SessionBinding, parts?: SessionParts) => Promise<EvidenceBundle>;
  /** Ends the reporter; who waits gets `unavailable`. */
  readonly close: () => Promise<void>;
};

/** Wires an attester for one role, and starts its reporter. */
export function createAttester(options: AttesterOptions): Attester {
  const { role, clock, report, timer = systemTimer } = options;
  const readRelease = openReleaseFile(options.release);
  const device = resolve(options.tsmRoot);
  const desk = openReporterDesk({
    role,
    clock,
    timer,
    start: (recent) =>
      report === undefined
        ? startReporter({ role, device, recent })
        : startInnerReporter({ role, report, recent, clock, timer }),
  });
  return {
    attest: async (binding, { peers = [], layers } = { layers: [] }) => {
      if (binding.role !== role) throw new AttesterError("wrong-role", "session is of another role");
      const parts = { ...readRelease(), layers, gpus: [], peers };
      const { snp, batch } = await desk.ask(sessionDigests(binding, boundParts(parts)));
      return { snp, batch, ...parts };
    },
    close: desk.close,
  };
}
