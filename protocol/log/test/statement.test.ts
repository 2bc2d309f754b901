// Safety policies in the log: what a policy statement may say, and how a release names the policies it enforces.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bytes, encodeUtf8, type JsonValue, serializeCanonicalJson } from "@sotto/base";
import {
  type Digest,
  LogError,
  type PolicyStatement,
  parseStatement,
  type ReleaseStatement,
  serializeStatement,
} from "@sotto/log";

const digestOf = (byte: number): Digest => `sha256:${byte.toString(16).padStart(2, "0").repeat(32)}`;
const file = { path: "guard/policy.json", size: 3, digest: digestOf(1) };
const policy: PolicyStatement = {
  kind: "policy",
  purpose: "safety",
  version: "1",
  files: [file],
  issuedAt: 1,
  expiresAt: 2,
};
const release: ReleaseStatement = {
  kind: "release",
  role: "orchestrator",
  version: "0.1.0",
  measurements: ["cd".repeat(48)],
  code: digestOf(2),
  config: digestOf(3),
  weights: [],
  policies: [digestOf(4), digestOf(5)],
  securityVersion: 1,
  issuedAt: 1,
  expiresAt: 2,
};

/** That canonical JSON with some members changed, or taken away, is refused in both directions. */
function refuses(
  statement: PolicyStatement | ReleaseStatement,
  change: Record<string, JsonValue | undefined>,
) {
  const changed = Object.entries({ ...statement, ...change }).filter(([, value]) => value !== undefined);
  const bytes: Bytes = serializeCanonicalJson(Object.fromEntries(changed) as JsonValue); // of JSON values alone
  assert.throws(() => parseStatement(bytes), LogError, JSON.stringify(change));
}

test("policy statements and releases are the same after their journey", () => {
  const larger = { ...policy, files: Array.from({ length: 100 }, (_, at) => ({ ...file, path: `f${at}` })) };
  const none = { ...release, policies: [] };
  const full = { ...release, policies: Array.from({ length: 64 }, (_, byte) => digestOf(byte)) };
  for (const statement of [policy, larger, release, none, full]) {
    const bytes = serializeStatement(statement);
    assert.deepEqual(parseStatement(bytes), statement);
    for (let length = 0; length < bytes.length; length += 1)
      assert.throws(() => parseStatement(bytes.slice(0, length)), LogError);
    assert.throws(() => parseStatement(encodeUtf8(`${new TextDecoder().decode(bytes)} `)), LogError);
  }
});

test("a policy statement has its members, all of them, and in their form", () => {
  for (const name of Object.keys(policy)) refuses(policy, { [name]: undefined });
  const wrong: Record<string, readonly JsonValue[]> = {
    kind: ["policies", "weights", "release", "keys", 1],
    purpose: ["", "Safety", "ohttp", null, ["safety"]],
    version: ["", " 1", "1\n", "é", 1, "x".repeat(256)],
    files: [[], [file, file], [{ ...file, note: 1 }], [{ path: "a", size: 1 }], [null], file, "policy.json"],
    issuedAt: [2, 3, -1, "1", null],
    expiresAt: [1, 0, true],
    name: ["policy"],
    policies: [[]],
  };
  for (const [name, values] of Object.entries(wrong))
    for (const value of values) refuses(policy, { [name]: value });
  for (const path of ["", "/a", "a/", "a//b", "../a", "a/./b", "a\\b", "a b", "é", "x".repeat(256)])
    refuses(policy, { files: [{ ...file, path }] });
  for (const size of [-1, "3", null]) refuses(policy, { files: [{ ...file, size }] });
  for (const digest of [
    "",
    file.digest.toUpperCase(),
    file.digest.slice(7),
    `${file.digest}0`,
    `md5:${"0".repeat(32)}`,
  ])
    refuses(policy, { files: [{ ...file, digest }] });
  const many = Array.from({ length: 513 }, (_, at) => ({ ...file, path: `f${at}` }));
  refuses(policy, { files: many });
});

test("a release names its policies: as digests, in ascending order, once each", () => {
  const [one, two] = [digestOf(4), digestOf(5)];
  const wrong: readonly (JsonValue | undefined)[] = [
    undefined,
    null,
    one,
    [two, one],
    [one, one],
    [one, two, one],
    [one.toUpperCase()],
    [one.slice(7)],
    [1],
    [null],
    [[one]],
    Array.from({ length: 65 }, (_, byte) => digestOf(byte)),
  ];
  for (const policies of wrong) refuses(release, { policies });
});
