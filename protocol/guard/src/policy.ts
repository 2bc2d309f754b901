// The policy: hazards with their rules, thresholds and wording, and the classes of words that rules and classifier share.
// The file is canonical JSON (RFC 8785, integers only) in which white space outside strings is free, so that
// people can read it and no key can stand in it twice.
import { decodeUtf8, EncodingError, encodeUtf8, parseCanonicalJson } from "@sotto/base";
import { z } from "zod";
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

const pattern = z.string().min(1).max(400);
const rule = z.strictObject({
  unless: z.array(pattern).max(200).optional(),
  when: z.array(pattern).min(1).max(200),
});
const perMille = z.number().int().min(1).max(999);
const hazard = z.strictObject({
  answerRules: z.array(rule).max(100),
  id: z.enum(hazardIds),
  name: z.string().min(1).max(100),
  refusal: z.string().min(1).max(2000),
  rules: z.array(rule).max(100),
  threshold: perMille,
});
const phrase = /^[a-z0-9]+(?:_[a-z0-9]+){0,3}$/;
const schema = z.strictObject({
  answerThreshold: perMille,
  hazards: z.array(hazard).length(hazardIds.length),
  version: z.number().int().min(1).max(1_000_000),
  words: z.record(
    z
      .string()
      .regex(/^[a-z]+(?:-[a-z]+)*$/)
      .max(40),
    z.string().min(1).max(8000),
  ),
});

/** Reads a policy of at most 256 KiB; throws `GuardError`. */
export function parsePolicy(bytes: Uint8Array): Policy {
  if (bytes.length > maxPolicyBytes) throw new GuardError("policy-too-large", "policy: larger than 256 KiB");
  const checked = schema.safeParse(parseSpacedJson(bytes));
  if (!checked.success) throw new GuardError("policy-malformed", "policy: not as its schema has it");
  const { version, answerThreshold, hazards, words } = checked.data;
  if (hazards.some(({ id }, index) => id !== hazardIds[index])) {
    throw new GuardError("policy-malformed", "policy: hazards are not in their order");
  }
  const lists = Object.fromEntries(Object.entries(words).map(([name, text]) => [name, parseWords(text)]));
  const classes = new Set(Object.keys(lists));
  const readRules = (rules: readonly z.infer<typeof rule>[]): Rule[] =>
    rules.map(({ when, unless }) => ({
      when: when.map((text) => parsePattern(text, classes)),
      unless: (unless ?? []).map((text) => parsePattern(text, classes)),
    }));
  return {
    version,
    answerThreshold: answerThreshold / 1000,
    words: lists,
    hazards: hazards.map((given) => ({
      id: given.id,
      name: given.name,
      refusal: given.refusal,
      threshold: given.threshold / 1000,
      rules: readRules(given.rules),
      answerRules: readRules(given.answerRules),
    })),
  };
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
