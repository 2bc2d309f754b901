// What an app is told of errors from the layers below, and how a node is picked.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AttestationError } from "@sotto/attestation";
import { RatlsError, type RatlsErrorCode } from "@sotto/ratls";
import { WireError } from "@sotto/wire";
import { asSottoError, pickUniformly } from "../src/private-session.ts";
import { SottoError, type SottoErrorCode } from "../src/sotto-error.ts";

test("trouble on the way may be tried again; whatever else is wrong with a session stops", () => {
  const ratls: [RatlsErrorCode, SottoErrorCode, string][] = [
    ["busy", "busy", "retry"],
    ["truncated", "session-lost", "retry"],
    ["aborted", "session-lost", "retry"],
    ["peer-failed", "session-lost", "retry"],
    ["reattestation-missing", "session-lost", "retry"],
    ["unsupported-platform", "unsupported-platform", "fix"],
    ["reattestation-mismatch", "verification-failed", "stop"],
    ["predictor-refused", "verification-failed", "stop"],
    ["bad-record", "verification-failed", "stop"],
    ["bad-finished", "verification-failed", "stop"],
    ["session-ticket", "verification-failed", "stop"],
    ["classical-downgrade", "verification-failed", "stop"],
  ];
  const causes: [Error, SottoErrorCode, string][] = [
    ...ratls.map(([code, told, advice]): [Error, SottoErrorCode, string] => [
      new RatlsError(code, "session: it broke"),
      told,
      advice,
    ]),
    [new AttestationError("bad-chain", "certificate: no"), "verification-failed", "stop"],
    [new WireError("malformed", "message: no"), "verification-failed", "stop"],
    [new SottoError("no-tokens", "none left"), "no-tokens", "pay"],
  ];
  for (const [cause, code, advice] of causes) {
    const error = asSottoError(cause);
    assert.ok(error instanceof SottoError);
    assert.deepEqual([error.code, error.advice], [code, advice], String(cause));
    assert.ok(error === cause || error.cause === cause);
  }
  const bug = new TypeError("a bug stays one");
  assert.equal(asSottoError(bug), bug);
});

test("a node is picked by whole draws only, so that each is as likely", () => {
  const draws = [0xffffffff, 0xfffffffe, 7];
  const random = () => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, draws.shift() ?? 0);
    return bytes;
  };
  // 2^32 leaves 1 over three: the highest draw is thrown away.
  assert.equal(pickUniformly(["a", "b", "c"], random), "c");
  assert.equal(pickUniformly(["a", "b", "c"], random), "b");
  assert.throws(() => pickUniformly([], random), { code: "directory-refused" });
});
