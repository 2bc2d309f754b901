// Configuration from the environment: every name with the prefix is known, or the service does not start. A confidential
// service knows every name there is. What loads code has done so before this is read; the measured launcher keeps it
// out by giving an environment of its own, and here it shows when that went wrong.
import { CodedError } from "@sotto/base";
import type { z } from "zod";

export type ConfigErrorCode = "unknown-variable" | "malformed" | "unreadable" | "address-unavailable";

/** Why a service refuses to start; `variables` are the names, of its own schema, that lead to the fault. */
export class ConfigError extends CodedError<ConfigErrorCode> {
  readonly variables: readonly string[];

  constructor(
    code: ConfigErrorCode,
    message: string,
    options: ErrorOptions & { readonly variables?: readonly string[] } = {},
  ) {
    super(code, message, options);
    this.variables = options.variables ?? [];
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** `confidential`: nothing but the schema's variables is there at all, and their values are plain words. */
export type ReadConfigOptions = {
  readonly confidential?: boolean;
  /** As in `process.platform`. */
  readonly platform?: string;
};

const prefix = "SOTTO_";

// Variables by which an environment loads code into a process, changes its memory, its TLS or where names lead, or has
// its secrets written down. Of Node's own only those that do none of this are let through.
const hostile = new RegExp(
  `^(${[
    "NODE_(?!(ENV|VERSION|NO_WARNINGS)$).*",
    "(LD|DYLD|OPENSSL|SSL|MALLOC)_.*",
    "SSLKEYLOGFILE|GLIBC_TUNABLES|GCONV_PATH|LOCPATH|NLSPATH",
    "HOSTALIASES|RES_OPTIONS|LOCALDOMAIN|CARES_HOSTS",
  ].join("|")})$`,
  "i", // Windows knows names in any case
);

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const ordinaryValue = /^[^\u0000-\u001f\u007f]{0,4096}$/;
// Printable ASCII without any kind of quote or backslash.
const confidentialValue = /^[ !#-&(-[\]-_a-~]{0,1024}$/;

// What a development machine's system itself puts into every process; a confidential VM runs none of them.
const systemVariables: Readonly<Record<string, RegExp>> = {
  darwin: /^__CF_USER_TEXT_ENCODING$/,
  win32:
    /^(HOMEDRIVE|HOMEPATH|LOGONSERVER|PATH|SYSTEMDRIVE|SYSTEMROOT|TEMP|USERDOMAIN|USERNAME|USERPROFILE|WINDIR)$/i,
};

/**
 * Reads the variables of a strict zod object; throws `ConfigError`, naming variables of the schema and never values.
 *
 * Unknown names with the prefix are refused, and names that would change how the process itself runs.
 */
export function readConfig<Shape extends z.ZodObject>(
  schema: Shape,
  env: Environment = process.env,
  { confidential = false, platform = process.platform }: ReadConfigOptions = {},
): z.infer<Shape> {
  const known = new Set(Object.keys(schema.shape));
  const allowedValue = confidential ? confidentialValue : ordinaryValue;
  const values: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (known.has(name)) {
      if (value === undefined) continue;
      if (!allowedValue.test(value)) {
        const variables = [name];
        throw new ConfigError("malformed", "environment: a value is too long or of other characters", {
          variables,
        });
      }
      values[name] = value;
    } else if (hostile.test(name))
      throw new ConfigError("unknown-variable", "environment: a variable changes how the runtime works");
    else if (name.startsWith(prefix) || (confidential && !systemVariables[platform]?.test(name)))
      throw new ConfigError("unknown-variable", "environment: a variable is unknown");
  }
  return check(schema, values);
}

function check<Shape extends z.ZodObject>(schema: Shape, values: Record<string, string>): z.infer<Shape> {
  let checked: z.ZodSafeParseResult<z.infer<Shape>>;
  try {
    checked = schema.safeParse(values);
  } catch {
    // A check of the schema that throws would quote what it was given.
    throw new ConfigError("malformed", "environment: a value cannot be checked");
  }
  if (checked.success) return checked.data;
  const variables = [...new Set(checked.error.issues.map(({ path }) => String(path[0])))];
  throw new ConfigError("malformed", "environment: variables are missing or malformed", { variables });
}
