// What the log holds: canonical JSON statements of at most 64 KiB, closed in their members.
import { type Bytes, type JsonValue, parseCanonicalJson, serializeCanonicalJson } from "@sotto/base";
import { LogError, strictly } from "./log-error.ts";

export type Role = "orchestrator" | "predictor" | "guard";

/** `sha256:` and 64 lowercase hexadecimal digits. */
export type Digest = `sha256:${string}`;

/** What may run: one role, its code and configuration, and the launch measurements to expect. Times: Unix seconds. */
export type ReleaseStatement = {
  readonly kind: "release";
  readonly role: Role;
  readonly version: string;
  readonly measurements: readonly string[];
  readonly code: Digest;
  readonly config: Digest;
  readonly weights: readonly Digest[];
  /** The safety policies that it enforces, in ascending order. */
  readonly policies: readonly Digest[];
  readonly securityVersion: number;
  readonly issuedAt: number;
  readonly expiresAt: number;
};

/** A file of what a statement is about. */
export type StatementFile = { readonly path: string; readonly size: number; readonly digest: Digest };

/** A model: every file by path, size and digest. */
export type WeightsStatement = {
  readonly kind: "weights";
  readonly name: string;
  readonly files: readonly StatementFile[];
  readonly issuedAt: number;
  readonly expiresAt: number;
};

/** What is refused and how: every file of a safety policy, by path, size and digest. */
export type PolicyStatement = {
  readonly kind: "policy";
  readonly purpose: "safety";
  readonly version: string;
  readonly files: readonly StatementFile[];
  readonly issuedAt: number;
  readonly expiresAt: number;
};

/** Public keys and what they are for, by digest. */
export type KeysStatement = {
  readonly kind: "keys";
  readonly purpose: "ohttp" | "issuer" | "directory";
  readonly keys: readonly Digest[];
  readonly notBefore: number;
  readonly notAfter: number;
  readonly issuedAt: number;
  readonly expiresAt: number;
};

export type Statement = ReleaseStatement | WeightsStatement | PolicyStatement | KeysStatement;

/** Longest statement. */
export const maxStatementBytes = 64 * 1024 - 1; // the length in an entry bundle has 16 bits

/** Writes a statement in its only form; throws `LogError` where `parseStatement` would. */
export function serializeStatement(statement: Statement): Bytes {
  const bytes = serializeCanonicalJson(statement);
  parseStatement(bytes);
  return bytes;
}

/** Reads a statement; unknown members, other orders and other forms are refused. Throws `LogError`. */
export function parseStatement(bytes: Uint8Array): Statement {
  return strictly("statement", () => {
    const value = parseCanonicalJson(bytes, maxStatementBytes);
    const kind = isObject(value) ? value.kind : undefined;
    const shape = typeof kind === "string" ? shapes.get(kind) : undefined;
    if (shape === undefined || !fits(value, shape) || !isOrdered(value)) {
      throw new LogError("malformed", "statement: unknown kind, or members that do not fit it");
    }
    return value as Statement; // `shapes` spells out exactly these types
  });
}

type Check = (value: JsonValue | undefined) => boolean;
type Shape = Readonly<Record<string, Check>>;

const isTime: Check = (value) => typeof value === "number" && value >= 0;
const isCount: Check = (value) => typeof value === "number" && value >= 0;
const isDigest: Check = (value) => typeof value === "string" && /^sha256:[0-9a-f]{64}$/.test(value);
const isMeasurement: Check = (value) => typeof value === "string" && /^[0-9a-f]{96}$/.test(value);
const isName: Check = (value) => typeof value === "string" && /^[\x21-\x7e][\x20-\x7e]{0,254}$/.test(value);
const isPath: Check = (value) => {
  if (typeof value !== "string" || !/^[A-Za-z0-9._@+-]+(\/[A-Za-z0-9._@+-]+)*$/.test(value)) return false;
  return value.length <= 255 && !value.split("/").some((part) => part === "." || part === "..");
};
const oneOf =
  (...words: string[]): Check =>
  (value) =>
    typeof value === "string" && words.includes(value);
const listOf =
  (check: Check, min: number, max: number): Check =>
  (value) =>
    Array.isArray(value) && value.length >= min && value.length <= max && value.every((item) => check(item));

const times: Shape = { issuedAt: isTime, expiresAt: isTime };
const file: Shape = { path: isPath, size: isCount, digest: isDigest };
const fileList: Check = listOf((value) => value !== undefined && fits(value, file), 1, 512);

const shapes: ReadonlyMap<string, Shape> = new Map<string, Shape>([
  [
    "release",
    {
      kind: oneOf("release"),
      role: oneOf("orchestrator", "predictor", "guard"),
      version: isName,
      measurements: listOf(isMeasurement, 1, 64),
      code: isDigest,
      config: isDigest,
      weights: listOf(isDigest, 0, 64),
      policies: listOf(isDigest, 0, 64),
      securityVersion: isCount,
      ...times,
    },
  ],
  [
    "weights",
    {
      kind: oneOf("weights"),
      name: isName,
      files: fileList,
      ...times,
    },
  ],
  [
    "policy",
    {
      kind: oneOf("policy"),
      purpose: oneOf("safety"),
      version: isName,
      files: fileList,
      ...times,
    },
  ],
  [
    "keys",
    {
      kind: oneOf("keys"),
      purpose: oneOf("ohttp", "issuer", "directory"),
      keys: listOf(isDigest, 1, 64),
      notBefore: isTime,
      notAfter: isTime,
      ...times,
    },
  ],
]);

/** What begins ends later, no file is there twice, and a set of policies is written in one way. */
function isOrdered(value: JsonValue): boolean {
  const members = isObject(value) ? value : {};
  const { issuedAt, expiresAt, notBefore = 0, notAfter = 1, files = [], policies = [] } = members;
  const paths = isList(files) ? files.map((item) => (isObject(item) ? item.path : undefined)) : [];
  return (
    isBefore(issuedAt, expiresAt) &&
    isBefore(notBefore, notAfter) &&
    new Set(paths).size === paths.length &&
    isAscending(isList(policies) ? policies : [])
  );
}

function isBefore(start: JsonValue | undefined, end: JsonValue | undefined): boolean {
  return typeof start === "number" && typeof end === "number" && start < end;
}

function isAscending(items: readonly JsonValue[]): boolean {
  return items.every((item, index) => index === 0 || String(items[index - 1]) < String(item));
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function isObject(value: JsonValue): value is { readonly [key: string]: JsonValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fits(value: JsonValue, shape: Shape): boolean {
  if (!isObject(value)) return false;
  const names = Object.keys(value);
  return (
    names.length === Object.keys(shape).length &&
    Object.entries(shape).every(([name, check]) => check(value[name]))
  );
}
