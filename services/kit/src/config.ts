// Configuration from the environment: every name with the prefix is known, or the service does not start.
import { CodedError } from "@sotto/base";
import type { z } from "zod";

/** Why a service refuses to start. */
export class ConfigError extends CodedError<"unknown-variable" | "malformed" | "unreadable"> {}

const prefix = "SOTTO_";

/** Reads the variables of a strict zod object; throws `ConfigError`, naming variables and never values. */
export function readConfig<Shape extends z.ZodObject>(
  schema: Shape,
  env: Readonly<Record<string, string | undefined>> = process.env,
): z.infer<Shape> {
  const known = new Set(Object.keys(schema.shape));
  const values: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(prefix) || value === undefined) continue;
    if (!known.has(name))
      throw new ConfigError("unknown-variable", "environment: a variable with the prefix is unknown");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    if (/[\u0000-\u001f\u007f]/.test(value) || value.length > 4096) {
      throw new ConfigError("malformed", `environment: ${name} is too long or holds control characters`);
    }
    values[name] = value;
  }
  const checked = schema.safeParse(values);
  if (checked.success) return checked.data;
  const names = [...new Set(checked.error.issues.map(({ path }) => String(path[0])))].join(", ");
  throw new ConfigError("malformed", `environment: ${names} missing or malformed`);
}
