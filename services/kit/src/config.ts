// Configuration from the environment: every name with the prefix is known, or the service does not start.
import { CodedError } from "@sotto/base";
import type { z } from "zod";

/** Why a service refuses to start. */
export class ConfigError extends CodedError<"unknown-variable" | "malformed" | "unreadable"> {}

const prefix = "SOTTO_";

// Variables by which an environment loads code into a process, weakens its TLS, or has its secrets written down.
const hostile =
  /^(NODE_(OPTIONS|PATH|EXTRA_CA_CERTS|TLS_REJECT_UNAUTHORIZED|DEBUG|DEBUG_NATIVE|V8_COVERAGE)|SSLKEYLOGFILE|OPENSSL_.*|SSL_CERT_.*|LD_.*)$/;

/**
 * Reads the variables of a strict zod object; throws `ConfigError`, naming variables and never values. Unknown
 * names with the prefix are refused, and names that would change how the process itself runs.
 */
export function readConfig<Shape extends z.ZodObject>(
  schema: Shape,
  env: Readonly<Record<string, string | undefined>> = process.env,
): z.infer<Shape> {
  const known = new Set(Object.keys(schema.shape));
  const values: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (hostile.test(name))
      throw new ConfigError("unknown-variable", "environment: a variable changes how the runtime works");
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
