import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError, createLog, readConfig } from "@sotto/kit";
import fc from "fast-check";
import { z } from "zod";

const schema = z.strictObject({
  SOTTO_PORT: z.string().regex(/^\d{1,5}$/),
  SOTTO_DATA: z.string().optional(),
});

test("known variables are read, others without the prefix are nobody's business", () => {
  assert.deepEqual(readConfig(schema, { SOTTO_PORT: "80", HOME: "/root", PATH: "/bin" }), {
    SOTTO_PORT: "80",
  });
});

test("audit 13: whatever is unknown, malformed, over-long or changes the runtime stops the boot", () => {
  const good = { SOTTO_PORT: "80" };
  const bad: Record<string, string>[] = [
    {},
    { ...good, SOTTO_PROT: "81" },
    { ...good, SOTTO_: "" },
    { SOTTO_PORT: "80\n" },
    { SOTTO_PORT: "'80'" },
    { ...good, SOTTO_DATA: "a\nSOTTO_X=1" },
    { ...good, SOTTO_DATA: "\u0000" },
    { ...good, SOTTO_DATA: "x".repeat(4097) },
    ...["NODE_OPTIONS", "NODE_EXTRA_CA_CERTS", "NODE_TLS_REJECT_UNAUTHORIZED", "NODE_PATH", "LD_PRELOAD"].map(
      (name) => ({ ...good, [name]: "" }),
    ),
    ...["LD_LIBRARY_PATH", "LD_AUDIT", "SSLKEYLOGFILE", "SSL_CERT_FILE", "OPENSSL_CONF"].map((name) => ({
      ...good,
      [name]: "x",
    })),
  ];
  for (const env of bad) {
    assert.throws(() => readConfig(schema, env), ConfigError, Object.keys(env).join(" "));
  }
});

test("audit 13: any environment is read or refused, and a value never shows in the refusal", () => {
  const names = fc.oneof(
    fc.constantFrom("SOTTO_PORT", "SOTTO_DATA", "NODE_OPTIONS"),
    fc.string().map((x) => `SOTTO_${x}`),
  );
  const values = fc.string({ minLength: 1, unit: "binary" }).map((text) => `canary${text}`);
  fc.assert(
    fc.property(fc.dictionary(names, values), (env) => {
      try {
        assert.equal(readConfig(schema, env).SOTTO_DATA, env.SOTTO_DATA);
        assert.fail("a port that is no number was taken");
      } catch (error) {
        assert.ok(error instanceof ConfigError);
        assert.ok(!error.message.includes("canary"));
      }
    }),
  );
});

const table = {
  refused: { outcome: ["spent", "unknown"], count: "number", first: "boolean" },
  failed: {},
} as const;

test("an event is one line of its table's fields", () => {
  const lines: string[] = [];
  const log = createLog(table, (line) => lines.push(line));
  log("refused", { outcome: "spent", count: 3, first: true });
  log("failed", {});
  assert.deepEqual(lines, [
    '{"event":"refused","outcome":"spent","count":3,"first":true}\n',
    '{"event":"failed"}\n',
  ]);
});

test("audit 5: no value outside the table reaches a line, however it gets past the types", () => {
  const lines: string[] = [];
  // What a caller with wrong types could do.
  const log = createLog(table, (line) => lines.push(line)) as (kind: string, fields: object) => void;
  log("canary", {});
  log("constructor", {});
  log("__proto__", { canary: "canary" });
  log("refused", { outcome: "canary", count: "canary", first: "canary", canary: "canary" });
  log("refused", { outcome: ["spent", "canary"], count: Number.NaN, first: { canary: 1 } });
  fc.assert(
    fc.property(fc.object({ values: [fc.constant("canary"), fc.anything()] }), (fields) => {
      log("refused", fields);
    }),
  );
  assert.deepEqual([...new Set(lines)], ['{"event":"refused"}\n']);
});
