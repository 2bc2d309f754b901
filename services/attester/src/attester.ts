// Makes evidence for sessions. The chip gives about one report a second, so sessions that arrive while one is
// being made, or while the budget is empty, share the next; each gets the path of its own leaf and no other.
import {
  boundParts,
  createBatch,
  type EvidenceBundle,
  maxBatchSize,
  type PeerEvidence,
  type SandboxLayer,
  type SessionBinding,
  sessionLeaf,
} from "@sotto/attestation";
import { type Bytes, type Clock, CodedError } from "@sotto/base";
import { requestReport } from "@sotto/kit";
import { openReleaseFile } from "./release-file.ts";
import { createReportBudget } from "./report-budget.ts";

export type AttesterOptions = {
  readonly tsmRoot: string;
  /** Path of the release file. */
  readonly release: string;
  readonly role: SessionBinding["role"];
  readonly clock: Clock;
  /** How a report is asked for; the guest's own interface unless a test says otherwise. */
  readonly report?: (reportData: Bytes) => Promise<{ readonly report: Bytes; readonly certificates: Bytes }>;
  /** How the hardware's pace is waited for; a timer unless a test says otherwise. */
  readonly sleep?: (delayMs: number) => Promise<void>;
};

/** What a session adds to the evidence: whom it relies on, and the layers around the process that serves it. */
export type SessionParts = {
  readonly peers?: readonly PeerEvidence[];
  /** In canonical order; none is claimed that was not found at the start of that very process. */
  readonly layers: readonly SandboxLayer[];
};

export type Attester = {
  /** Evidence for one session of this role; rejects with `busy` when too many wait. */
  readonly attest: (binding: SessionBinding, parts?: SessionParts) => Promise<EvidenceBundle>;
};

/** A session is not served: too many wait, or the hardware does not answer. */
export class AttesterError extends CodedError<"busy" | "wrong-role" | "unavailable"> {}

type Waiting = {
  readonly leaf: Bytes;
  readonly parts: Pick<EvidenceBundle, "statement" | "proof" | "layers" | "gpus" | "peers">;
  readonly resolve: (bundle: EvidenceBundle) => void;
  readonly reject: (error: unknown) => void;
};

/** Wires an attester for one role. */
export function createAttester(options: AttesterOptions): Attester {
  const readRelease = openReleaseFile(options.release);
  const budget = createReportBudget(options.clock);
  const sleep = options.sleep ?? ((delayMs) => new Promise<void>((resolve) => setTimeout(resolve, delayMs)));
  const report = options.report ?? ((data: Bytes) => requestReport(options.tsmRoot, data));
  let waiting: Waiting[] = [];
  let running = false;

  const makeReport = async (batch: readonly Waiting[]): Promise<void> => {
    const { reportData, pathFor } = createBatch(batch.map(({ leaf }) => leaf));
    const snp = await report(reportData);
    for (const [index, { parts, resolve }] of batch.entries()) {
      resolve({ snp, batch: pathFor(index), ...parts });
    }
  };

  const run = async (): Promise<void> => {
    while (waiting.length > 0) {
      const delayMs = budget.delay();
      if (delayMs > 0) await sleep(delayMs);
      else {
        budget.take();
        const batch = waiting;
        waiting = [];
        try {
          await makeReport(batch);
        } catch (cause) {
          const error = new AttesterError("unavailable", "no report from the hardware", { cause });
          for (const { reject } of batch) reject(error);
        }
      }
    }
    running = false;
  };

  return {
    attest: async (binding, { peers = [], layers } = { layers: [] }) => {
      if (binding.role !== options.role) throw new AttesterError("wrong-role", "session is of another role");
      if (waiting.length >= maxBatchSize)
        throw new AttesterError("busy", "too many sessions wait for a report");
      const parts = { ...readRelease(), layers, gpus: [], peers };
      const leaf = sessionLeaf(binding, boundParts(parts));
      return new Promise<EvidenceBundle>((resolve, reject) => {
        waiting.push({ leaf, parts, resolve, reject });
        if (running) return;
        running = true;
        // Sessions that arrive in the same turn of the loop share a report from the start.
        setImmediate(() => void run());
      });
    },
  };
}
