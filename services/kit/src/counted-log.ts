// The log of a service that holds users' text. Who reads it also sees requests come and go, so a line at the moment of
// an event would tell what became of that one. Here events are only counted, and told together, once in a period.
import { bucketIndex, bucketWords, compileTable, type EventTable } from "./event-table.ts";
import { type TellEvent, type WriteLine, writeToStandardError } from "./log.ts";

export type CountedLogOptions<Kind extends string> = {
  /** Kinds that are about no request, and are written when they happen. */
  readonly atOnce?: readonly Kind[];
  readonly periodMs?: number;
  readonly write?: WriteLine;
};

/** `tell` counts an event; `close` tells once more and ends the period. */
export type CountedLog<Table extends EventTable> = {
  readonly tell: TellEvent<Table>;
  readonly close: () => void;
};

const defaultPeriodMs = 600_000;
// Fewer than the first are not told, and wait for more of their kind: one request alone makes no line.
const timesBounds = [10, 100, 1000, 10_000];
const timesWords = bucketWords(timesBounds);

/**
 * Opens a log that writes `{"event":"counted","kind":"...","times":"10-100"}` for each kind and its words.
 *
 * Lines come in the order of the table, and never hold an exact number.
 */
export function openCountedLog<const Table extends EventTable>(
  table: Table,
  options: CountedLogOptions<keyof Table & string> = {},
): CountedLog<Table> {
  const { series, find } = compileTable(table);
  const atOnce = new Set<string>(options.atOnce);
  const write = options.write ?? writeToStandardError;
  const tellCounts = (): void => {
    for (const one of series) {
      const bucket = bucketIndex(timesBounds, one.count);
      if (bucket === 0) continue;
      one.count = 0;
      const times = timesWords[bucket];
      write(`${JSON.stringify({ event: "counted", kind: one.kind, ...one.fields, times })}\n`);
    }
  };
  const timer = setInterval(tellCounts, options.periodMs ?? defaultPeriodMs).unref();
  return {
    tell: (kind, fields) => {
      const one = find(kind, fields);
      if (atOnce.has(one.kind)) write(one.line);
      else one.count += 1;
    },
    close: () => {
      clearInterval(timer);
      tellCounts();
    },
  };
}
