import assert from "node:assert/strict";
import { test } from "node:test";
import {
  buckets,
  createLog,
  type EventTable,
  EventTableError,
  openCountedLog,
  openMetrics,
} from "@sotto/kit";
import fc from "fast-check";

const table = {
  refused: { outcome: ["spent", "unknown"], tokens: buckets(1, 10, 100), first: "boolean" },
  failed: {},
} as const;

function record() {
  const lines: string[] = [];
  const log = createLog(table, (line) => lines.push(line));
  return { lines, log };
}

test("an event is one line of its table's fields, a number only its bucket", () => {
  const { lines, log } = record();
  log("refused", { outcome: "spent", tokens: 3, first: true });
  log("failed", {});
  assert.deepEqual(lines, [
    '{"event":"refused","outcome":"spent","tokens":"1-10","first":true}\n',
    '{"event":"failed"}\n',
  ]);
  lines.length = 0;
  for (const tokens of [-5, 0, 0.99, 1, 9.99, 10, 99, 100, 1e300])
    log("refused", { tokens, first: false, outcome: "unknown" });
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).tokens),
    ["<1", "<1", "<1", "1-10", "1-10", "10-100", "10-100", ">=100", ">=100"],
  );
});

test("audit 5: what does not fit the table is one fixed line, however it gets past the types", () => {
  const { lines, log } = record();
  // What a caller with wrong types could do.
  const tell = log as unknown as (kind: unknown, fields?: unknown) => void;
  const fits = { outcome: "spent", tokens: 1, first: true };
  const throwing = {
    get outcome() {
      throw new Error("canary");
    },
  };
  const misfits: [unknown, unknown?][] = [
    ["canary", {}],
    ["constructor", {}],
    ["__proto__", { canary: "canary" }],
    ["event-dropped", {}],
    ["failed"],
    ["failed", null],
    ["failed", "canary"],
    ["failed", { canary: "canary" }],
    [{ toString: () => "failed" }, {}],
    ["refused", {}],
    ["refused", { ...fits, canary: "canary" }],
    ["refused", { ...fits, outcome: "canary" }],
    ["refused", { ...fits, outcome: ["spent"] }],
    ["refused", { ...fits, outcome: { toString: () => "spent" } }],
    ["refused", { ...fits, tokens: "1" }],
    ["refused", { ...fits, tokens: Number.NaN }],
    ["refused", { ...fits, tokens: Number.POSITIVE_INFINITY }],
    ["refused", { ...fits, tokens: 1n }],
    ["refused", { ...fits, first: 1 }],
    ["refused", Object.create(fits)],
    ["refused", throwing],
    ["refused", new Proxy({}, { ownKeys: () => assert.fail("canary") })],
  ];
  for (const [kind, fields] of misfits) tell(kind, fields);
  assert.equal(lines.length, misfits.length);
  fc.assert(
    fc.property(
      fc.anything(),
      fc.object({ values: [fc.constant("canary"), fc.anything()] }),
      (kind, fields) => {
        tell(kind, fields);
        tell("refused", fields);
      },
    ),
  );
  assert.deepEqual([...new Set(lines)], ['{"event":"event-dropped"}\n']);
});

test("a table that could carry more than classes is refused when the service starts", () => {
  const many = Array.from({ length: 32 }, (_, i) => `w${i}`);
  const bad: EventTable[] = [
    { ready: {} },
    { "event-dropped": {} },
    { Upper: {} },
    { "a b": {} },
    { ["a".repeat(41)]: {} },
    { a: { event: "boolean" } },
    { a: { "b-c": "boolean" } },
    { a: { b: [] } },
    { a: { b: ["two words"] } },
    { a: { b: ['"'] } },
    { a: { b: [...many, "one-more"] } },
    { a: { b: many, c: many } },
    { a: { b: buckets() } },
    { a: { b: buckets(0) } },
    { a: { b: buckets(2, 1) } },
    { a: { b: buckets(1, Number.NaN) } },
    { a: { b: buckets(1, 2, 3, 4, 5, 6, 7, 8, 9) } },
  ];
  for (const one of bad) assert.throws(() => createLog(one), EventTableError, JSON.stringify(one));
});

test("a table that is changed later changes nothing", () => {
  const outcome = ["spent"];
  const lines: string[] = [];
  const log = createLog({ refused: { outcome } }, (line) => lines.push(line));
  outcome.push("canary");
  outcome[0] = "canary";
  for (const word of ["canary", "spent"]) log("refused", { outcome: word });
  assert.deepEqual(lines, ['{"event":"event-dropped"}\n', '{"event":"refused","outcome":"spent"}\n']);
});

test("metrics are a counter for each kind and its words, there from the start, and the same lines for ever", () => {
  const { log } = record();
  const names = (text: string): string[] => text.split("\n").map((line) => line.replace(/ \d+$/, ""));
  const before = log.metrics();
  log("refused", { outcome: "spent", tokens: 3, first: true });
  log("refused", { outcome: "spent", tokens: 7, first: true });
  // What a caller with wrong types could do.
  (log as unknown as (kind: string, fields: object) => void)("canary", { user: "canary" });
  const after = log.metrics();
  assert.deepEqual(names(after), names(before));
  assert.equal(after.split("\n").length, 1 + 1 + 2 * 4 * 2 + 1 + 1);
  assert.deepEqual(
    after.split("\n").filter((line) => / [1-9]/.test(line)),
    [
      'sotto_events_total{event="event-dropped"} 1',
      'sotto_events_total{event="refused",outcome="spent",tokens="1-10",first="true"} 2',
    ],
  );
});

test("metrics are served on loopback, to whoever asks for this server, and without a port nowhere", async (context) => {
  const { log } = record();
  assert.equal(await openMetrics(undefined, log.metrics), undefined);
  const server = await openMetrics(0, log.metrics);
  const address = server?.address ?? "";
  context.after(() => server?.close());
  assert.match(address, /^http:\/\/127\.0\.0\.1:/);
  const response = await fetch(`${address}/metrics`);
  assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4");
  assert.equal(await response.text(), log.metrics());
  assert.equal((await fetch(`${address}/`)).status, 404);
  assert.equal((await fetch(`${address}/metrics`, { method: "POST" })).status, 405);
});

test("audit 6: a confidential service's events make no line of their own, and few of them none at all", (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  const lines: string[] = [];
  const kinds = { ended: { outcome: ["answered", "refused"] }, "peer-refused": {} } as const;
  const log = openCountedLog(kinds, {
    atOnce: ["peer-refused"],
    periodMs: 1000,
    write: (line) => lines.push(line),
  });
  const ended = (outcome: "answered" | "refused", times: number): void => {
    for (let i = 0; i < times; i += 1) log.tell("ended", { outcome });
  };
  const next = (): string[] => {
    context.mock.timers.tick(1000);
    return lines.splice(0);
  };
  ended("answered", 12);
  ended("refused", 9);
  assert.deepEqual(lines, []);
  assert.deepEqual(next(), ['{"event":"counted","kind":"ended","outcome":"answered","times":"10-100"}\n']);
  assert.deepEqual(next(), []);
  ended("refused", 1);
  ended("answered", 12_345);
  assert.deepEqual(next(), [
    '{"event":"counted","kind":"ended","outcome":"answered","times":">=10000"}\n',
    '{"event":"counted","kind":"ended","outcome":"refused","times":"10-100"}\n',
  ]);
  log.tell("peer-refused", {});
  assert.deepEqual(lines.splice(0), ['{"event":"peer-refused"}\n']);
  ended("answered", 10);
  ended("refused", 1);
  log.close();
  assert.deepEqual(lines.splice(0), [
    '{"event":"counted","kind":"ended","outcome":"answered","times":"10-100"}\n',
  ]);
  ended("answered", 100);
  assert.deepEqual(next(), []);
});
