// The policy: hazards with their rules, thresholds and wording, and the classes of words that rules and classifier share.
// The file is canonical JSON (RFC 8785, integers only) in which white space outside strings is free, so that
// people can read it and no key can stand in it twice.
import {
  decodeUtf8,
  EncodingError,
  encodeUtf8,
  type Fields,
  isObject,
  parseCanonicalJson,
  readFields,
} from "@sotto/base";
import { GuardError } from "./guard-error.ts";
import { type PatternElement, parsePattern } from "./pattern.ts";
import { type HazardId, hazardIds } from "./verdict.ts";

/** Patterns of which one makes a text refused, unless an exception stands near it. */
export type Rule = {
  readonly when: readonly (readonly PatternElement[])[];
  readonly unless: readonly (readonly PatternElement[])[];
};

export type Hazard = {
  readonly id: HazardId;
  readonly name: string;
  readonly refusal: string;
  readonly threshold: number; // of the classifier's score, between 0 and 1
  readonly rules: readonly Rule[];
  readonly answerRules: readonly Rule[];
};

export type Policy = {
  readonly version: number;
  readonly answerThreshold: number;
  readonly hazards: readonly Hazard[];
  readonly words: Readonly<Record<string, readonly string[]>>;
};

const maxPolicyBytes = 256 * 1024;

const phrase = /^[a-z0-9]+(?:_[a-z0-9]+){0,3}$/;
const className = /^[a-z]+(?:-[a-z]+)*$/;
const maxPattern = 400;
const maxPatterns = 200;
const maxRules = 100;

/** Reads a policy of at most 256 KiB; throws `GuardError`. */
export function parsePolicy(bytes: Uint8Array): Policy {
  if (bytes.length > maxPolicyBytes) throw new GuardError("policy-too-large", "policy: larger than 256 KiB");
  const fields = readMembers(parseSpacedJson(bytes), ["answerThreshold", "hazards", "version", "words"]);
  const words = readWords(fields.values.words);
  const classes = new Set(Object.keys(words));
  const hazards = need(fields.list("hazards", hazardIds.length));
  if (hazards.length !== hazardIds.length) throw malformed();
  return {
    version: need(fields.integer("version", 1, 1_000_000)),
    answerThreshold: readThreshold(fields, "answerThreshold"),
    words,
    hazards: hazards.map((value, index) => readHazard(value, hazardIds[index], classes)),
  };
}

// Hazards stand in their order, so that a row of the classifier is one of them.
function readHazard(value: unknown, id: HazardId | undefined, classes: ReadonlySet<string>): Hazard {
  const members = ["answerRules", "id", "name", "refusal", "rules", "threshold"];
  const fields = readMembers(value, members);
  if (id === undefined || fields.values.id !== id) throw malformed();
  return {
    id,
    name: need(fields.text("name", 1, 100)),
    refusal: need(fields.text("refusal", 1, 2000)),
    threshold: readThreshold(fields, "threshold"),
    rules: need(fields.list("rules", maxRules)).map((rule) => readRule(rule, classes)),
    answerRules: need(fields.list("answerRules", maxRules)).map((rule) => readRule(rule, classes)),
  };
}

function readRule(value: unknown, classes: ReadonlySet<string>): Rule {
  const fields = readMembers(value, ["when", "unless"]);
  const readPatterns = (list: readonly unknown[]): Rule["when"] =>
    list.map((text) => {
      if (typeof text !== "string" || text === "" || text.length > maxPattern) throw malformed();
      return parsePattern(text, classes);
    });
  const when = readPatterns(need(fields.list("when", maxPatterns)));
  if (when.length === 0) throw malformed();
  const unless = "unless" in fields.values ? need(fields.list("unless", maxPatterns)) : [];
  return { when, unless: readPatterns(unless) };
}

function readWords(value: unknown): Policy["words"] {
  if (!isObject(value)) throw malformed();
  return Object.fromEntries(
    Object.entries(value).map(([name, text]) => {
      if (!className.test(name) || name.length > 40) throw malformed();
      if (typeof text !== "string" || text === "" || text.length > 8000) throw malformed();
      return [name, parseWords(text)];
    }),
  );
}

/** In thousandths in the file. */
function readThreshold(fields: Fields, name: string): number {
  return need(fields.integer(name, 1, 999)) / 1000;
}

function readMembers(value: unknown, names: readonly string[]): Fields {
  const fields = readFields(value, malformed);
  if (!Object.keys(fields.values).every((name) => names.includes(name))) throw malformed();
  return fields;
}

function need<Value>(value: Value | undefined): Value {
  if (value === undefined) throw malformed();
  return value;
}

function malformed(): GuardError {
  return new GuardError("policy-malformed", "policy: not in its form");
}

function parseWords(text: string): string[] {
  const list = text.split(" ");
  if (new Set(list).size !== list.length || !list.every((item) => phrase.test(item))) {
    throw new GuardError("policy-malformed", "policy: a class of words is malformed");
  }
  return list;
}

function parseSpacedJson(bytes: Uint8Array): unknown {
  try {
    return parseCanonicalJson(encodeUtf8(withoutSpace(decodeUtf8(bytes))), maxPolicyBytes);
  } catch (cause) {
    if (!(cause instanceof EncodingError)) throw cause;
    throw new GuardError("policy-malformed", "policy: not canonical json", { cause });
  }
}

function withoutSpace(text: string): string {
  let result = "";
  let start = 0;
  let isInString = false;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit === 0x22) isInString = !isInString;
    else if (isInString && unit === 0x5c)
      index += 1; // what is escaped never ends the string
    else if (!isInString && (unit === 0x20 || unit === 0x0a)) {
      result += text.slice(start, index);
      start = index + 1;
    }
  }
  return result + text.slice(start);
}
