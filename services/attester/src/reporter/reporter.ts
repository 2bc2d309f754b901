// Joins the sessions that are asked about into batches, and has the device make one report for each. It makes the leaves
// itself, with the role that it was started for, so nothing that it signs was chosen by who asks. Knows no process and
// no file: `main.ts` gives it both.
import { createBatch, leafOfDigests, maxBatchSize, type SessionBinding } from "@sotto/attestation/binding";
import type { Bytes, Clock } from "@sotto/base";
import { type HardwareReport, ReportError } from "@sotto/kit/tsm";
import { type Ask, AskParser, type RefusalWord, serializeAnswer } from "./message.ts";
import { createReportBudget } from "./report-budget.ts";
import type { Timer } from "./timer.ts";

export type ReporterOptions = {
  readonly role: SessionBinding["role"];
  readonly report: (reportData: Bytes) => Promise<HardwareReport>;
  /** Milliseconds that never go back. */
  readonly clock: Clock;
  readonly timer: Timer;
  /** How long ago the device was last asked, milliseconds each, by a reporter before this one. */
  readonly recent: readonly number[];
  readonly send: (answer: Bytes) => void;
  /** The device may never answer again; everybody has been told, and nobody will be served any more. */
  readonly onLost: () => void;
};

export type Reporter = {
  /** Takes what the attester says; throws `ReporterMessageError`, after which this reporter must end. */
  readonly receive: (bytes: Uint8Array) => void;
  /** Takes nothing more; resolves when the device has been left as it was found. */
  readonly end: () => Promise<void>;
};

/** How long a session may wait for its batch, and an expected wait that is too long to begin. */
export const maxWaitMs = 5000;
/** How long a batch may wait for the device. */
export const maxReportMs = 10_000;

type Waiting = { readonly id: number; readonly leaf: Bytes };

/** Wires a reporter. */
export function createReporter(options: ReporterOptions): Reporter {
  const { clock, timer, send } = options;
  const parser = new AskParser();
  const budget = createReportBudget(clock, options.recent);
  let waiting: Waiting[] = [];
  let running: Promise<void> | undefined;
  let askedAt: number | undefined; // the device, when it has not answered yet
  let usualMs = 0; // that the device took last
  let ended = false;

  const refuse = (batch: readonly Pick<Waiting, "id">[], word: RefusalWord): void => {
    for (const { id } of batch) send(serializeAnswer({ kind: "refusal", id, word }));
  };
  const refuseWaiting = (word: RefusalWord): void => {
    const refused = waiting;
    waiting = [];
    refuse(refused, word);
  };

  // A device that has kept silent for longer than it usually does may well do so for as long again.
  const expectedWaitMs = (): number => {
    const silentMs = askedAt === undefined ? undefined : clock() - askedAt;
    const answerMs = silentMs === undefined ? 0 : Math.max(usualMs - silentMs, silentMs);
    return answerMs + budget.delay() + usualMs;
  };

  const admit = ({ id, digests }: Ask): void => {
    const isFirst = askedAt === undefined && waiting.length === 0;
    if (ended) refuse([{ id }], "unavailable");
    // However slow the device was, somebody has to find out whether it still is.
    else if (!isFirst && (waiting.length >= maxBatchSize || expectedWaitMs() >= maxWaitMs))
      refuse([{ id }], "busy");
    else {
      waiting.push({ id, leaf: leafOfDigests(options.role, digests) });
      running ??= run();
    }
  };

  const run = async (): Promise<void> => {
    // Sessions that arrive in the same turn of the loop share a report from the start.
    await new Promise<void>((resolve) => void setImmediate(resolve));
    while (waiting.length > 0) {
      const delayMs = budget.delay();
      if (delayMs > 0) await new Promise<void>((resolve) => void timer(delayMs, resolve));
      else await serve(waiting.splice(0));
    }
    running = undefined;
  };

  const serve = async (batch: readonly Waiting[]): Promise<void> => {
    let isGivenUp = false;
    const start = clock();
    askedAt = start;
    budget.take();
    const callOff = [
      timer(maxWaitMs, () => refuseWaiting("busy")),
      timer(maxReportMs, () => {
        isGivenUp = true;
        refuse(batch, "unavailable");
      }),
    ];
    try {
      const { reportData, pathFor } = createBatch(batch.map(({ leaf }) => leaf));
      const { report, certificates } = await options.report(reportData);
      if (!isGivenUp) {
        send(serializeAnswer({ kind: "report", size: batch.length, report, certificates }));
        for (const [index, { id }] of batch.entries())
          send(serializeAnswer({ kind: "place", id, path: pathFor(index).path }));
      }
    } catch (error) {
      if (!isGivenUp) refuse(batch, "unavailable");
      if (error instanceof ReportError && isFinal(error)) lose();
    } finally {
      for (const cancel of callOff) cancel();
      usualMs = clock() - start;
      askedAt = undefined;
      budget.finish();
    }
  };

  const lose = (): void => {
    ended = true;
    refuseWaiting("unavailable");
    options.onLost();
  };

  return {
    receive: (bytes) => {
      for (const ask of parser.push(bytes)) admit(ask);
    },
    end: async () => {
      ended = true;
      refuseWaiting("unavailable");
      await running;
      parser.end();
    },
  };
}

function isFinal({ code }: ReportError): boolean {
  switch (code) {
    case "refused": // it may have lost its message counter for good
    case "wrong-provider":
      return true;
    case "unavailable":
    case "raced":
    case "timed-out":
    case "malformed":
      return false;
    default:
      return code satisfies never;
  }
}
