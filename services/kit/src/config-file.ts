// Files that a variable of the configuration names.
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type { z } from "zod";
import { ConfigError } from "./config.ts";

/** Reads the file that `variable` names; throws `ConfigError`, with the variable and without path or content. */
export function readConfigFile(variable: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const options = { cause, variables: [variable] };
    throw new ConfigError("unreadable", "configuration: a file is unreadable", options);
  }
}

/** Reads JSON of a schema from the file that `variable` names; throws `ConfigError` likewise. */
export function readConfigJson<Schema extends z.ZodType>(
  variable: string,
  path: string,
  schema: Schema,
): z.infer<Schema> {
  const text = readConfigFile(variable, path);
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    const options = { cause, variables: [variable] };
    throw new ConfigError("malformed", "configuration: a file does not fit its schema", options);
  }
}

/**
 * Reads a measured configuration likewise, in which everything is said: other processes read the same file without
 * the schema, so nothing may be filled in by it.
 */
export function readMeasuredConfig<Schema extends z.ZodType>(
  variable: string,
  path: string,
  schema: Schema,
): z.infer<Schema> {
  const value = readConfigJson(variable, path, schema);
  if (isDeepStrictEqual(value, JSON.parse(readConfigFile(variable, path)))) return value;
  throw new ConfigError("malformed", "configuration: a measured file leaves something out", {
    variables: [variable],
  });
}
