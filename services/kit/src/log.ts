// Log events: a table compiled into each service. There is no way to write free text.
import {
  type CompiledTable,
  compileTable,
  type EventFields,
  type EventTable,
  type Series,
} from "./event-table.ts";

/** Tells of an event; whatever the table does not allow is told as `event-dropped`, and nothing of it is kept. */
export type TellEvent<Table extends EventTable> = <Kind extends keyof Table & string>(
  kind: Kind,
  fields: EventFields<Table, Kind>,
) => void;

/** `metrics` is what has been told so far, as Prometheus text: counters of kinds and listed words, and no more. */
export type Log<Table extends EventTable> = TellEvent<Table> & { readonly metrics: () => string };

export type WriteLine = (line: string) => void;

/** Writes a line to standard error. */
export const writeToStandardError: WriteLine = (line) => void process.stderr.write(line);

/** Wires a log that writes one line of JSON per event, at once; for services that hold no user's text. */
export function createLog<const Table extends EventTable>(
  table: Table,
  write: WriteLine = writeToStandardError,
): Log<Table> {
  const compiled = compileTable(table);
  const tell: TellEvent<Table> = (kind, fields) => {
    const series = compiled.find(kind, fields);
    series.count += 1;
    write(series.line);
  };
  return Object.assign(tell, { metrics: () => serializeMetrics(compiled) });
}

/** `sotto_events_total{event="failed",in="handler"} 2`, one line for every series there can be. */
function serializeMetrics({ series }: CompiledTable): string {
  const lines = series.map((one) => `sotto_events_total{${labelsOf(one)}} ${one.count}\n`);
  return `# TYPE sotto_events_total counter\n${lines.join("")}`;
}

// Kinds, names and words are of a few letters, digits and marks, none of which needs an escape.
function labelsOf({ kind, fields }: Series): string {
  const labels = Object.entries({ event: kind, ...fields });
  return labels.map(([name, value]) => `${name}="${value}"`).join(",");
}
