// The guard's two files: whatever is wrong with them is a `GuardError`, and what is accepted judges.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8, type JsonValue, serializeCanonicalJson } from "@sotto/base";
import { type Guard, GuardError, hazardIds, openGuard } from "@sotto/guard";
import fc from "fast-check";
import {
  classifierBytes,
  policyBytes,
  readAnswer,
  shippedFiles,
  smallHazards,
  smallPolicy,
} from "./stage.ts";

function open(policy: Uint8Array, classifier: Uint8Array): Guard | string {
  try {
    return openGuard({ policy, classifier });
  } catch (error) {
    assert.ok(error instanceof GuardError, String(error));
    assert.match(error.message, /^(?:policy|classifier|guard): [^.]*[^.]$/, "lowercase, no full stop");
    return error.code;
  }
}

/** That the files are refused, or make a guard that judges and answers in its own words. */
function holds(policy: Uint8Array, classifier: Uint8Array): void {
  const guard = open(policy, classifier);
  if (typeof guard === "string") return;
  for (const text of ["", "build a pipe bomb", "take a bath", "uryyb jbeyq", "\u{1f600} 1 2 3"]) {
    const verdict = guard.judge(text);
    if (verdict.decision === "refuse") {
      assert.ok(hazardIds.includes(verdict.hazard));
      assert.ok(verdict.score >= 0 && verdict.score <= 1);
      assert.ok(guard.refusal(verdict.hazard).length > 0);
    }
    assert.ok(text.startsWith(readAnswer(guard, text).text));
  }
}

const policy = policyBytes();
const classifier = classifierBytes();
const changed = (bytes: Uint8Array, at: number, mask: number): Uint8Array =>
  bytes.with(at, (bytes[at] ?? 0) ^ mask);
const codeOfPolicy = (bytes: Uint8Array): Guard | string => open(bytes, classifier);
const codeOfHazard = (changes: Readonly<Record<string, JsonValue>>): Guard | string => {
  const [first = {}, ...rest] = smallHazards;
  return codeOfPolicy(policyBytes({ hazards: [{ ...first, ...changes }, ...rest] }));
};

test("the small pair makes a guard", () => {
  const guard = openGuard({ policy, classifier });
  assert.equal(guard.version, 1);
  assert.equal(guard.judge("build a bomb").decision, "refuse");
  assert.equal(guard.judge("build a bath bomb").decision, "allow");
});

test("a policy may be laid out with spaces and lines, and in no other way differ from its canonical form", () => {
  const text = new TextDecoder().decode(policy);
  const spaced = `${text.replaceAll(":[", " : [\n  ").replaceAll('},{"answerRules', '} ,\n {"answerRules')}\n`;
  assert.notEqual(typeof codeOfPolicy(encodeUtf8(spaced)), "string");
  for (const other of [
    "",
    " ",
    "{",
    "null",
    "[]",
    "1",
    '"policy"',
    `\ufeff${text}`,
    text.replaceAll(":[", ":\t["),
    text.replaceAll(":[", ":\r\n["),
    `${text}{}`,
    `${text},`,
    text.replace('"version":1', '"version":1.0'),
    text.replace('"version":1', '"version":1,"version":1'),
    text.replace('"bomb":', '"\\u0062omb":'),
    text.replace('"answerThreshold":850,', "").replace('"words":', '"answerThreshold":850,"words":'),
    "[".repeat(100_000),
    `{"a":${"[".repeat(1000)}${"]".repeat(1000)}}`,
    '"'.repeat(1001),
    "\\".repeat(1000),
  ]) {
    assert.equal(codeOfPolicy(encodeUtf8(other)), "policy-malformed", other.slice(0, 80));
  }
  assert.equal(codeOfPolicy(Uint8Array.of(0xff, 0xfe, 0x7b)), "policy-malformed");
  assert.equal(codeOfPolicy(encodeUtf8(" ".repeat(256 * 1024 + 1))), "policy-too-large");
});

test("a policy with a member that is missing, unknown or of another kind is refused", () => {
  const odd: JsonValue[] = [null, true, "", "x", 0, -1, 1_000_001, [], [1], [null], {}, { a: 1 }];
  for (const name of Object.keys(smallPolicy)) {
    for (const value of odd) {
      const code = codeOfPolicy(policyBytes({ [name]: value }));
      assert.equal(code, "policy-malformed", `${name}: ${JSON.stringify(value)}`);
    }
    const { [name]: _, ...rest } = smallPolicy;
    assert.equal(codeOfPolicy(serializeCanonicalJson(rest)), "policy-malformed", `without ${name}`);
  }
  for (const name of ["id", "name", "refusal", "threshold", "rules", "answerRules"]) {
    for (const value of odd) {
      if (name === "name" && value === "x") continue;
      if (name === "refusal" && value === "x") continue;
      if (name.endsWith("ules") && Array.isArray(value) && value.length === 0) continue;
      assert.equal(codeOfHazard({ [name]: value }), "policy-malformed", `${name}: ${JSON.stringify(value)}`);
    }
  }
  assert.equal(codeOfPolicy(policyBytes({ more: 1 })), "policy-malformed");
  assert.equal(codeOfHazard({ more: 1 }), "policy-malformed");
  assert.equal(codeOfHazard({ refusal: "x".repeat(2001) }), "policy-malformed");
  assert.equal(codeOfHazard({ threshold: 1000 }), "policy-malformed");
});

test("hazards stand all there, once, and in their order", () => {
  for (const hazards of [
    smallHazards.slice(1),
    smallHazards.toReversed(),
    [...smallHazards, smallHazards[0] ?? {}],
    [...smallHazards.slice(0, -1), smallHazards[0] ?? {}],
  ]) {
    assert.equal(codeOfPolicy(policyBytes({ hazards })), "policy-malformed");
  }
});

test("a pattern that is malformed, too long, or names an unknown class is refused", () => {
  const patterns: JsonValue[] = [
    ...["", " ", "a ", " a", "a  b", "A", "é", "a,b", "a|", "|a", "a||b", "a.b", "(a)", ".*", "a\n"],
    ...["~2", "~2 a", "a ~2", "a ~0 b", "a ~13 b", "a ~99 b", "a ~1 ~1 b", "a ~ b", "a ~1.5 b", "a ~-1 b"],
    ...["{bom}", "{}", "{bomb", "bomb}", "{bomb}x", "{BOMB}", "{__proto__}", "{constructor}", "{to-string}"],
    ...[Array(11).fill("a").join(" "), "a|".repeat(300), 1, null, [], {}],
  ];
  for (const pattern of patterns) {
    const name = JSON.stringify(pattern);
    assert.equal(codeOfHazard({ rules: [{ when: [pattern] }] }), "policy-malformed", name);
    assert.equal(codeOfHazard({ answerRules: [{ when: [pattern] }] }), "policy-malformed", name);
    assert.equal(codeOfHazard({ rules: [{ when: ["a"], unless: [pattern] }] }), "policy-malformed", name);
  }
  for (const rule of [{}, { when: [] }, { unless: ["a"] }, { when: "a" }, { when: ["a"], more: 1 }]) {
    assert.equal(codeOfHazard({ rules: [rule] }), "policy-malformed", JSON.stringify(rule));
  }
  assert.equal(codeOfHazard({ rules: Array(101).fill({ when: ["a"] }) }), "policy-malformed");
  assert.equal(codeOfHazard({ rules: [{ when: Array(201).fill("a") }] }), "policy-malformed");
});

test("a class of words that is malformed or says a word twice is refused", () => {
  for (const list of [
    "",
    " ",
    "a ",
    "a  b",
    "a a",
    "A",
    "a-b",
    "_a",
    "a_",
    "a__b",
    "a_b_c_d_e",
    "é",
    "a\tb",
  ]) {
    assert.equal(codeOfPolicy(policyBytes({ words: { bomb: list } })), "policy-malformed", list);
  }
  for (const name of ["", "A", "a-", "-a", "a--b", "a_b", "a1", "x".repeat(41)]) {
    const words = { bomb: "bomb", [name]: "a" };
    assert.equal(codeOfPolicy(policyBytes({ words })), "policy-malformed", name);
  }
  assert.equal(
    codeOfPolicy(policyBytes({ words: { bomb: `bomb ${"a".repeat(8000)}` } })),
    "policy-malformed",
  );
});

test("a classifier works with the words that it was trained with only", () => {
  for (const words of [
    { bomb: "bomb grenade" },
    { bomb: "grenade bomb pipe_bomb" },
    { bomb: "bomb grenade pipe_bomb", other: "word" },
  ]) {
    assert.equal(codeOfPolicy(policyBytes({ words })), "not-a-pair");
  }
  assert.equal(open(policy, classifierBytes({ lexicon: 1 })), "not-a-pair");
  assert.equal(open(policy, shippedFiles.classifier), "not-a-pair");
  assert.equal(open(shippedFiles.policy, classifier), "not-a-pair");
});

test("files in each other's place are refused", () => {
  assert.equal(open(classifier, classifier), "policy-malformed");
  assert.equal(open(policy, policy), "classifier-malformed");
  assert.equal(open(shippedFiles.classifier, shippedFiles.policy), "policy-too-large");
});

test("a policy cut anywhere or with any byte changed is refused, or judges", () => {
  for (let end = 0; end < policy.length; end += 1) {
    assert.equal(codeOfPolicy(policy.subarray(0, end)), "policy-malformed");
  }
  for (let at = 0; at < policy.length; at += 1) {
    for (const mask of [0x01, 0x20, 0x80]) holds(changed(policy, at, mask), classifier);
  }
});

test("a classifier cut anywhere, with more behind it, or with any bit changed is refused, or judges", () => {
  for (let end = 0; end < classifier.length; end += 1) {
    assert.equal(open(policy, classifier.subarray(0, end)), "classifier-malformed");
  }
  for (const length of [1, 2, 3, 4, 8, 100]) {
    assert.equal(
      open(policy, new Uint8Array([...classifier, ...new Uint8Array(length)])),
      "classifier-malformed",
    );
  }
  for (let at = 0; at < classifier.length; at += 1) {
    for (let bit = 0; bit < 8; bit += 1) holds(policy, changed(classifier, at, 1 << bit));
  }
  assert.equal(open(policy, new Uint8Array(1024 * 1024 + 1)), "classifier-too-large");
});

test("a classifier whose known words are not in order, or stand in it twice, is refused", () => {
  assert.equal(open(policy, classifierBytes({ vocabulary: Uint32Array.of(2, 1) })), "classifier-malformed");
  assert.equal(open(policy, classifierBytes({ vocabulary: Uint32Array.of(1, 1) })), "classifier-malformed");
});

test("any bytes at all are refused, or judge", () => {
  const magic = classifier.subarray(0, 12);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      holds(bytes, classifier);
      holds(policy, bytes);
      holds(policy, new Uint8Array([...magic, ...bytes]));
    }),
  );
});

test("the shipped classifier with a changed byte here and there is refused, or judges", () => {
  const { length } = shippedFiles.classifier;
  for (const at of [0, 8, 12, 13, 14, 18, 500_000, length - 5, length - 1]) {
    holds(shippedFiles.policy, changed(new Uint8Array(shippedFiles.classifier), at, 0x40));
  }
});
