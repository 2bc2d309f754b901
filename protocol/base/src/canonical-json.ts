// JSON that has one form only: keys sorted by code unit, no white space, integers only, nothing repeated.

import type { Bytes } from "./bytes.ts";
import { EncodingError } from "./coded-error.ts";
import { decodeUtf8, encodeUtf8 } from "./encoding.ts";

/** What canonical JSON can hold: no fractions, no exponents, no undefined. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

const maxDepth = 16;

/** Writes a value in its only form, following RFC 8785 for the part of JSON used here. */
export function serializeCanonicalJson(value: JsonValue): Bytes {
  return encodeUtf8(render(value, 0));
}

/**
 * Reads canonical JSON of at most `maxBytes`; throws `EncodingError` for anything that would not be
 * written in exactly these bytes (so repeated keys, other orders and escapes are refused too).
 */
export function parseCanonicalJson(bytes: Uint8Array, maxBytes: number): JsonValue {
  if (bytes.length > maxBytes) throw new EncodingError("too-large", "json: longer than its limit");
  const text = decodeUtf8(bytes);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new EncodingError("bad-encoding", "json: malformed", { cause });
  }
  if (!isJsonValue(value, 0)) throw new EncodingError("bad-encoding", "json: value out of bounds");
  if (render(value, 0) !== text) throw new EncodingError("not-canonical", "json: not in canonical form");
  return value;
}

function isJsonValue(value: unknown, depth: number): value is JsonValue {
  if (depth > maxDepth) return false;
  if (value === null || typeof value === "boolean" || typeof value === "string") return true;
  if (typeof value === "number") return Number.isSafeInteger(value) && !Object.is(value, -0);
  if (Array.isArray(value)) return value.every((item) => isJsonValue(item, depth + 1));
  return typeof value === "object" && Object.values(value).every((item) => isJsonValue(item, depth + 1));
}

function render(value: JsonValue, depth: number): string {
  if (depth > maxDepth) throw new EncodingError("too-large", "json: nested too deep");
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw new EncodingError("out-of-range", "json: not a safe integer");
    return String(value);
  }
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new EncodingError("bad-encoding", "json: lone surrogate");
    return JSON.stringify(value);
  }
  if (isArray(value)) return `[${value.map((item) => render(item, depth + 1)).join(",")}]`;
  const members = Object.entries(value)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, item]) => `${render(key, depth + 1)}:${render(item, depth + 1)}`);
  return `{${members.join(",")}}`;
}

function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}
