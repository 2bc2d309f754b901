// Members of a JSON object, each read as what it must be. By hand, although a library would do: a process that reads one
// question in its life would spend more on setting that up than on everything else.

/** Readers of one object's members; absent and null are undefined, anything else that does not fit is refused. */
export type Fields = {
  readonly values: Readonly<Record<string, unknown>>;
  readonly text: (name: string, minLength: number, maxLength: number) => string | undefined;
  readonly flag: (name: string) => boolean | undefined;
  readonly number: (name: string, min: number, max: number) => number | undefined;
  readonly integer: (name: string, min: number, max: number) => number | undefined;
  readonly list: (name: string, maxLength: number) => readonly unknown[] | undefined;
  readonly inner: (name: string) => Fields | undefined;
};

/** Tells objects from lists and all else. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Wires readers; `refuse` makes the error for a member, or for `request` when the value is no object. */
export function readFields(value: unknown, refuse: (name: string) => Error): Fields {
  if (!isObject(value)) throw refuse("request");
  const read = <Value>(name: string, fits: (given: unknown) => given is Value): Value | undefined => {
    // Never what an object inherits.
    const given = Object.hasOwn(value, name) ? value[name] : undefined;
    if (given === undefined || given === null) return undefined;
    if (!fits(given)) throw refuse(name);
    return given;
  };
  const number = (name: string, min: number, max: number): number | undefined =>
    read(name, (given): given is number => typeof given === "number" && given >= min && given <= max);
  return {
    values: value,
    text: (name, minLength, maxLength) =>
      read(
        name,
        (given): given is string =>
          typeof given === "string" && given.length >= minLength && given.length <= maxLength,
      ),
    flag: (name) => read(name, (given): given is boolean => typeof given === "boolean"),
    number,
    integer: (name, min, max) => {
      const given = number(name, min, max);
      if (given !== undefined && !Number.isSafeInteger(given)) throw refuse(name);
      return given;
    },
    list: (name, maxLength) =>
      read(name, (given): given is readonly unknown[] => Array.isArray(given) && given.length <= maxLength),
    inner: (name) => {
      const given = read(name, isObject);
      return given === undefined ? undefined : readFields(given, () => refuse(name));
    },
  };
}
