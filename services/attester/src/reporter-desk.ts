// The attester's end of its reporter: asks on behalf of sessions, checks that what comes back is about the very session
// that asked, and starts another reporter when one is gone. Whatever a reporter says that it must not ends it.
import {
  type BatchPath,
  leafOfDigests,
  maxBatchSize,
  parseSnpReport,
  type SessionBinding,
  type SnpEvidence,
  verifyBinding,
} from "@sotto/attestation";
import type { Bytes, Clock } from "@sotto/base";
import { AttesterError } from "./attester-error.ts";
import { type Answer, AnswerParser, followingId, serializeAsk } from "./reporter/message.ts";
import { reportsPerWindow } from "./reporter/report-budget.ts";
import { exitCode } from "./reporter/seat.ts";
import type { Timer } from "./reporter/timer.ts";
import type { ReporterConnection } from "./reporter-process.ts";

export type DeskOptions = {
  readonly role: SessionBinding["role"];
  /** Starts a reporter; `recent` says how long ago the one before it asked the device, milliseconds each. */
  readonly start: (recent: readonly number[]) => ReporterConnection;
  readonly clock: Clock;
  readonly timer: Timer;
};

/** A session's place in a report. */
export type Placed = { readonly snp: SnpEvidence; readonly batch: BatchPath };

export type ReporterDesk = {
  /** Resolves with the session's place in a report; rejects with `AttesterError`. */
  readonly ask: (digests: Bytes) => Promise<Placed>;
  readonly close: () => Promise<void>;
};

type Pending = {
  readonly leaf: Bytes;
  readonly since: number;
  readonly resolve: (placed: Placed) => void;
  readonly reject: (error: AttesterError) => void;
};
type Told = { readonly snp: SnpEvidence; readonly reportData: Bytes; readonly size: number; next: number };

const maxPending = 2 * maxBatchSize; // a batch that the device is asked about, and those that wait
const patienceMs = 30_000; // far beyond the time within which a reporter answers everybody
const maxRestarts = 6;
const firstPauseMs = 500; // and twice as long each time
const graceMs = 3000;

const busy = (): AttesterError => new AttesterError("busy", "too many sessions wait for a report");
const unavailable = (): AttesterError => new AttesterError("unavailable", "no report from the hardware");

/** Wires a desk, and starts its reporter. */
export function openReporterDesk({ role, start, clock, timer }: DeskOptions): ReporterDesk {
  const pending = new Map<number, Pending>();
  let connection: ReporterConnection | undefined;
  let nextId = 0;
  let restarts = 0;
  let reportedAt: number[] = [];
  let isClosed = false;
  let cancelStart = (): void => {};
  let cancelWatch: (() => void) | undefined;

  const settle = (id: number): Pending => {
    const one = pending.get(id);
    if (one === undefined) throw new AttesterError("unavailable", "reporter: answers what nobody asked");
    pending.delete(id);
    if (pending.size === 0) unwatch();
    return one;
  };
  const refuseAll = (): void => {
    for (const id of [...pending.keys()]) settle(id).reject(unavailable());
  };
  const noteReport = (): void => {
    reportedAt = [...reportedAt, clock()].slice(-reportsPerWindow);
  };

  // A reporter that says nothing at all any more is as good as gone.
  const watch = (delayMs: number): void => {
    cancelWatch = timer(delayMs, () => {
      const [oldest] = pending.values();
      if (oldest === undefined) return;
      const leftMs = oldest.since + patienceMs - clock();
      if (leftMs > 0) watch(leftMs);
      else connection?.kill();
    });
  };
  const unwatch = (): void => {
    cancelWatch?.();
    cancelWatch = undefined;
  };

  const open = (): void => {
    const now = clock();
    const opened = start(reportedAt.map((at) => Math.max(0, now - at)));
    connection = opened;
    nextId = 0;
    const parser = new AnswerParser();
    let told: Told | undefined;

    const tell = (answer: Answer): void => {
      const isWhole = told === undefined || told.next === told.size;
      if (answer.kind === "place") {
        if (told === undefined || isWhole) throw outOfOrder();
        const { snp, reportData, size } = told;
        const batch = { index: told.next, size, path: answer.path };
        told.next += 1;
        const one = pending.get(answer.id);
        // Before anything else: whoever asked gets a report about itself, or none.
        if (one !== undefined) verifyBinding(one.leaf, batch, reportData);
        settle(answer.id).resolve({ snp, batch });
        restarts = 0;
        return;
      }
      if (!isWhole) throw outOfOrder();
      if (answer.kind === "refusal") {
        settle(answer.id).reject(answer.word === "busy" ? busy() : unavailable());
        return;
      }
      noteReport();
      const { report, certificates, size } = answer;
      if (size === 0 || size > pending.size) throw outOfOrder();
      const { reportData } = parseSnpReport(report);
      told = { snp: { report, certificates }, reportData, size, next: 0 };
    };

    opened.input.on("error", () => {}); // it is gone, which `ended` tells
    opened.output.on("error", opened.kill).on("data", (bytes: Uint8Array) => {
      if (connection !== opened) return;
      try {
        for (const answer of parser.push(bytes)) tell(answer);
      } catch {
        lose(opened, undefined);
        opened.kill();
      }
    });
    opened.ended.then((code) => lose(opened, code));
  };

  const lose = (lost: ReporterConnection, code: number | undefined): void => {
    if (connection !== lost) return;
    connection = undefined;
    if (pending.size > 0) noteReport(); // the device may have been asked
    refuseAll();
    if (isClosed || code === exitCode.deviceLost || restarts === maxRestarts) return;
    cancelStart = timer(firstPauseMs * 2 ** restarts, open);
    restarts += 1;
  };

  open();
  return {
    ask: (digests) => {
      if (connection === undefined) return Promise.reject(unavailable());
      if (pending.size >= maxPending) return Promise.reject(busy());
      const { promise, resolve, reject } = Promise.withResolvers<Placed>();
      const leaf = leafOfDigests(role, digests);
      pending.set(nextId, { leaf, since: clock(), resolve, reject });
      connection.input.write(serializeAsk({ id: nextId, digests }));
      nextId = followingId(nextId);
      if (pending.size === 1) watch(patienceMs);
      return promise;
    },
    close: async () => {
      isClosed = true;
      cancelStart();
      const open = connection;
      if (open === undefined) return;
      connection = undefined;
      refuseAll();
      open.output.resume();
      open.input.end();
      const cancelKill = timer(graceMs, open.kill);
      await open.ended;
      cancelKill();
    },
  };
}

const outOfOrder = (): AttesterError => new AttesterError("unavailable", "reporter: answer out of order");
