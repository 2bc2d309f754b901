import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { CodedError } from "@sotto/base";

test("of a foreign cause only name and code are kept, wherever the code stands", () => {
  const inner = Object.assign(new Error("secret"), { code: "ECONNREFUSED", data: "secret" });
  const foreign = new TypeError("secret", { cause: new AggregateError([inner], "secret", { cause: inner }) });
  const error = new CodedError("code", "message", { cause: foreign });
  const { cause } = error;
  assert.ok(cause instanceof Error && "code" in cause);
  assert.deepEqual([cause.name, cause.code, cause.message], ["TypeError", "ECONNREFUSED", "ECONNREFUSED"]);
  assert.doesNotMatch(inspect(error, { depth: null, showHidden: true }), /secret/);
});

test("what could be a text is neither name nor code", () => {
  const odd = Object.assign(new Error("secret"), { name: "secret name", code: "a secret" });
  for (const cause of [odd, "secret", { secret: 1 }, null, 7]) {
    const error = new CodedError("code", "message", { cause });
    assert.ok(error.cause instanceof Error && !("code" in error.cause));
    assert.doesNotMatch(inspect(error, { depth: null, showHidden: true }), /secret/);
  }
});

test("a cause of ours stays what it is, with its own, and without one there is none", () => {
  const first = new CodedError("first", "message");
  const second = new CodedError("second", "message", { cause: first });
  const again = new CodedError("third", "message", { cause: second.cause });
  assert.equal(second.cause, first);
  assert.equal(again.cause, first);
  assert.ok(!("cause" in first));
  const foreign = new CodedError("fourth", "message", { cause: new RangeError("secret") });
  assert.equal(new CodedError("fifth", "message", { cause: foreign.cause }).cause, foreign.cause);
});
