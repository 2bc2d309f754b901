// Who may log what: each kind has its authority, and policies have that of releases.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeUtf8 } from "@sotto/base";
import {
  generateSigner,
  LogError,
  noteKeyType,
  type Signer,
  type Statement,
  serializeNote,
  serializeStatement,
  signNote,
} from "@sotto/log";
import { type Authorities, admitStatement } from "../src/authorities.ts";

const names = ["release", "weights", "keys", "directory"] as const;
const signers = await Promise.all(
  names.map((name) => generateSigner(`${name}.example`, noteKeyType.ed25519)),
);
const [releaser, , , director] = signers;
assert.ok(releaser && director);
const authorities: Authorities = Object.fromEntries(
  names.map((name, index) => [name, { keys: signers.slice(index, index + 1), threshold: 1 }]),
);

const digest = `sha256:${"ab".repeat(32)}` as const;
const times = { issuedAt: 1, expiresAt: 2 };
const files = [{ path: "policy.json", size: 1, digest }];
const statements: readonly Statement[] = [
  {
    ...{ kind: "release", role: "orchestrator", version: "1", measurements: ["cd".repeat(48)] },
    ...{ code: digest, config: digest, weights: [], policies: [digest], securityVersion: 1, ...times },
  },
  { kind: "weights", name: "m", files, ...times },
  { kind: "keys", purpose: "ohttp", keys: [digest], notBefore: 1, notAfter: 2, ...times },
  { kind: "policy", purpose: "safety", version: "1", files, ...times },
];

async function submit(statement: Statement, ...by: readonly Signer[]): Promise<string> {
  return serializeNote(await signNote(`${decodeUtf8(serializeStatement(statement))}\n`, by));
}

const refused = (error: unknown): boolean => error instanceof LogError && error.code === "bad-signature";

test("each kind of statement is admitted from its own authority and from no other", async () => {
  for (const statement of statements) {
    const authority = statement.kind === "policy" ? "release" : statement.kind;
    for (const [index, signer] of signers.entries()) {
      const submission = await submit(statement, signer);
      if (names[index] === authority) {
        assert.deepEqual(await admitStatement(submission, authorities), serializeStatement(statement));
      } else await assert.rejects(admitStatement(submission, authorities), refused);
    }
  }
});

test("a policy asks for as many authorities as a release, and for none of its own name", async () => {
  const [, , , policy] = statements;
  assert.ok(policy);
  const two: Authorities = { release: { keys: [releaser, director], threshold: 2 } };
  const submission = await submit(policy, releaser);
  await assert.rejects(admitStatement(submission, two), refused);
  await admitStatement(await submit(policy, releaser, director), two);
  const { release: _, ...others } = authorities;
  await assert.rejects(admitStatement(submission, others), refused);
  const named: Authorities = { ...others, policy: { keys: [releaser], threshold: 1 } };
  await assert.rejects(admitStatement(submission, named), refused);
});
