// The table of events that a service can tell of. Compiling it makes every line and every counter there will ever be;
// an event then only picks one of them, so nothing that an event carries can be written.
import { CodedError } from "@sotto/base";

/** Bounds of a number; see `buckets`. */
export type Buckets = { readonly bounds: readonly number[] };

/** What a field may hold: a boolean, one of the words listed, or a number of which only the bucket is told. */
export type FieldKind = "boolean" | readonly string[] | Buckets;

export type EventTable = Readonly<Record<string, Readonly<Record<string, FieldKind>>>>;

type Field<Kind> = Kind extends "boolean"
  ? boolean
  : Kind extends Buckets
    ? number
    : Kind extends readonly (infer Word)[]
      ? Word
      : never;

/** The fields that an event of a kind is told with. */
export type EventFields<Table extends EventTable, Kind extends keyof Table> = {
  readonly [Name in keyof Table[Kind]]: Field<Table[Kind][Name]>;
};

/** Why a table cannot be compiled. */
export class EventTableError extends CodedError<"malformed" | "too-large"> {}

/** One event with its fields: the line that is written and the counter that counts it. */
export type Series = {
  readonly kind: string;
  readonly fields: Readonly<Record<string, string | boolean>>;
  readonly line: string;
  count: number;
};

export type CompiledTable = {
  readonly series: readonly Series[];
  /** The series of an event, or that of `event-dropped` for whatever does not fit the table; never throws. */
  readonly find: (kind: unknown, fields: unknown) => Series;
};

type Option = { readonly written: string | boolean; readonly fits: (value: unknown) => boolean };

const kindPattern = /^[a-z][a-z0-9-]{0,39}$/;
const fieldPattern = /^[a-z][a-z0-9_]{0,39}$/; // Prometheus takes it as the name of a label
const wordPattern = /^[a-z0-9][a-z0-9-]{0,39}$/;
const reservedKinds = new Set(["event-dropped", "counted", "ready", "crashed"]);
const reservedFields = new Set(["event", "kind", "times"]);
const maxWords = 32; // a list, or bounds, so fine that they tell more than a class
const maxBounds = 8;
const maxSeries = 256;

/** A number told only as `<1`, `1-10`, `10-100` or `>=100`: each bucket begins at its first number. */
export function buckets(...bounds: readonly number[]): Buckets {
  return { bounds };
}

/** The words of buckets, in the order of `bucketIndex`. */
export function bucketWords(bounds: readonly number[]): readonly string[] {
  return [Number.NEGATIVE_INFINITY, ...bounds].map((from, i) => {
    const to = bounds[i];
    if (i === 0) return `<${to}`;
    return to === undefined ? `>=${from}` : `${from}-${to}`;
  });
}

/** Which bucket a number is in: 0 for what is below all bounds. */
export function bucketIndex(bounds: readonly number[], value: number): number {
  return bounds.findLastIndex((bound) => value >= bound) + 1;
}

/** Makes all series of a table; throws `EventTableError`. Later changes to the table change nothing. */
export function compileTable(table: EventTable): CompiledTable {
  const dropped = createSeries("event-dropped", {});
  const series = [dropped];
  const kinds = new Map<string, { readonly names: readonly string[]; readonly options: Option[][] }>();
  const byKey = new Map<string, Series>();
  for (const [kind, fields] of Object.entries(table)) {
    if (!kindPattern.test(kind) || reservedKinds.has(kind)) throw malformed();
    const names = Object.keys(fields);
    if (!names.every((name) => fieldPattern.test(name) && !reservedFields.has(name))) throw malformed();
    const options = Object.values(fields).map(optionsOf);
    kinds.set(kind, { names, options });
    for (const choice of choices(options)) {
      if (series.length === maxSeries) throw new EventTableError("too-large", "event table: too many series");
      const words = choice.map((option, field) => [names[field] ?? "", options[field]?.[option]?.written]);
      const one = createSeries(kind, Object.fromEntries(words));
      series.push(one);
      byKey.set(`${kind} ${choice}`, one);
    }
  }
  const find = (kind: unknown, given: unknown): Series | undefined => {
    const known = typeof kind === "string" ? kinds.get(kind) : undefined;
    if (known === undefined || typeof given !== "object" || given === null) return undefined;
    const values = new Map<string, unknown>(Object.entries(given));
    if (values.size !== known.names.length) return undefined;
    const choice = known.names.map((name, field) =>
      values.has(name) ? known.options[field]?.findIndex(({ fits }) => fits(values.get(name))) : -1,
    );
    return byKey.get(`${kind} ${choice}`);
  };
  return {
    series,
    find: (kind, fields) => {
      try {
        return find(kind, fields) ?? dropped;
      } catch {
        return dropped; // a getter that throws, and the like
      }
    },
  };
}

function createSeries(kind: string, fields: Readonly<Record<string, string | boolean>>): Series {
  return { kind, fields, line: `${JSON.stringify({ event: kind, ...fields })}\n`, count: 0 };
}

function optionsOf(kind: FieldKind): Option[] {
  if (kind === "boolean")
    return [false, true].map((one) => ({ written: one, fits: (value) => value === one }));
  if ("bounds" in kind) return bucketsOf([...kind.bounds]);
  if (kind.length < 1 || kind.length > maxWords || !kind.every((word) => wordPattern.test(word)))
    throw malformed();
  return kind.map((word) => ({ written: word, fits: (value) => value === word }));
}

function bucketsOf(bounds: readonly number[]): Option[] {
  const ascends = bounds.every((bound, i) => Number.isFinite(bound) && bound > (bounds[i - 1] ?? 0));
  if (bounds.length < 1 || bounds.length > maxBounds || !ascends) throw malformed();
  return bucketWords(bounds).map((written, i) => ({
    written,
    fits: (value) => typeof value === "number" && Number.isFinite(value) && bucketIndex(bounds, value) === i,
  }));
}

/** Every way of taking one option of each field. */
function* choices(options: readonly (readonly Option[])[]): Generator<readonly number[]> {
  const [first, ...rest] = options;
  if (first === undefined) return yield [];
  for (const index of first.keys()) for (const more of choices(rest)) yield [index, ...more];
}

function malformed(): EventTableError {
  return new EventTableError("malformed", "event table: a kind, field, word or bound is not allowed");
}
