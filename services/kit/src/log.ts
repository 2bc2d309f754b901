// Log events: a table compiled into each service. There is no way to write free text.

/** A field is a number, a boolean, or one of the words listed. */
export type EventTable = Readonly<
  Record<string, Readonly<Record<string, "number" | "boolean" | readonly string[]>>>
>;

type Field<Kind> = Kind extends "number"
  ? number
  : Kind extends "boolean"
    ? boolean
    : Kind extends readonly (infer Word)[]
      ? Word
      : never;

export type Log<Table extends EventTable> = <Kind extends keyof Table & string>(
  kind: Kind,
  fields: { readonly [Name in keyof Table[Kind]]: Field<Table[Kind][Name]> },
) => void;

/** Wires a log that writes one line of JSON per event, and drops whatever the table does not allow. */
export function createLog<const Table extends EventTable>(
  table: Table,
  write: (line: string) => void = (line) => void process.stderr.write(line),
): Log<Table> {
  return (kind, fields) => {
    const known = Object.hasOwn(table, kind) ? table[kind] : undefined;
    if (known === undefined) return;
    const line: Record<string, unknown> = { event: kind };
    for (const [name, allowed] of Object.entries(known)) {
      const value: unknown = Object.entries(fields).find(([key]) => key === name)?.[1];
      const fits =
        typeof allowed === "string"
          ? typeof value === allowed && (typeof value !== "number" || Number.isFinite(value))
          : typeof value === "string" && allowed.includes(value);
      if (fits) line[name] = value;
    }
    write(`${JSON.stringify(line)}\n`);
  };
}
