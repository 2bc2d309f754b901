import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createEventQueue } from "../src/sealed/engines/event-queue.ts";
import { createStopFilter } from "../src/sealed/engines/stop-filter.ts";
import { createTokenText, type Detokenize } from "../src/sealed/engines/token-text.ts";

const bytesOf = new TextEncoder();
// Tokens of this detokenizer are bytes, as in the byte fallback of real ones.
const detokenize: Detokenize<Uint8Array> = (tokens) =>
  new TextDecoder().decode(new Uint8Array(tokens.flatMap((token) => [...token])));
const readAll = (tokens: readonly Uint8Array[]): string[] => {
  const text = createTokenText(detokenize);
  return tokens.map((token) => text.push(token));
};

test("a character spread over tokens appears whole, with its last token", () => {
  const bytes = bytesOf.encode("aé世👋z");
  const pieces = readAll([...bytes].map((byte) => new Uint8Array([byte])));
  assert.deepEqual(pieces, ["a", "", "é", "", "", "世", "", "", "", "👋", "z"]);
});

test("text is the same however it is cut into tokens", () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 });
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), cuts, (text, lengths) => {
      const bytes = bytesOf.encode(text.toWellFormed().replace(/[\ufeff\ufffd]/g, ""));
      const tokens: Uint8Array[] = [];
      for (let offset = 0; offset < bytes.length; offset += tokens.at(-1)?.length ?? 1) {
        tokens.push(bytes.subarray(offset, offset + (lengths[tokens.length % lengths.length] ?? 1)));
      }
      assert.equal(readAll(tokens).join(""), new TextDecoder().decode(bytes));
    }),
  );
});

test("bytes that are no character delay what follows, and do not swallow it", () => {
  const junk = Array.from({ length: 100 }, () => new Uint8Array([0x80]));
  const pieces = readAll([...junk, bytesOf.encode("end")]);
  assert.ok(pieces.join("").endsWith("end"));
  assert.ok(
    pieces.slice(0, 80).some((piece) => piece !== ""),
    "not held back for ever",
  );
});

test("what a token reads as may depend on those before it, and only the first loses its space", () => {
  const spaced: Detokenize<string> = (tokens, before) => {
    const text = tokens.map((token) => ` ${token}`).join("");
    return before.length === 0 ? text.slice(1) : text;
  };
  const text = createTokenText(spaced);
  assert.deepEqual(
    ["one", "two", "three"].map((token) => text.push(token)),
    ["one", " two", " three"],
  );
});

test("the stop filter gives what comes before the first stop sequence, however the text comes", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 30 });
  const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 }), {
    maxLength: 4,
  });
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 12 }), stops, (pieces, wanted) => {
      const filter = createStopFilter(wanted);
      let output = "";
      let stopped = false;
      for (const piece of pieces) {
        const step = filter.push(piece);
        output += step.output;
        stopped = step.stopped;
        if (stopped) break;
      }
      output += filter.finish();
      const whole = pieces.join("");
      const found = wanted.map((stop) => whole.indexOf(stop)).filter((position) => position >= 0);
      assert.equal(stopped, found.length > 0);
      // Cut in pieces, a later sequence may be whole before an earlier one is: the cut is then at the later one.
      if (found.length === 0) assert.equal(output, whole);
      else {
        assert.ok(whole.startsWith(output));
        assert.ok(
          found.includes(output.length) || wanted.some((stop) => whole.startsWith(stop, output.length)),
        );
        assert.ok(
          wanted.every((stop) => !output.includes(stop)),
          "no stop sequence is shown",
        );
      }
    }),
    { numRuns: 1000 },
  );
});

test("the stop filter holds back only what may begin a stop sequence", () => {
  const filter = createStopFilter(["STOP"]);
  assert.deepEqual(filter.push("hello S"), { output: "hello ", stopped: false });
  assert.deepEqual(filter.push("TO"), { output: "", stopped: false });
  assert.deepEqual(filter.push("AST"), { output: "STOA", stopped: false });
  assert.equal(filter.finish(), "ST");
});

test("a queue gives events in order, then its end or its error", async () => {
  const queue = createEventQueue<number>();
  queue.push(1);
  const seen: number[] = [];
  const reading = (async () => {
    for await (const event of queue.read()) seen.push(event);
  })();
  await new Promise((resolve) => setImmediate(resolve));
  queue.push(2);
  queue.push(3);
  queue.end();
  queue.push(4);
  queue.fail(new Error("late"));
  await reading;
  assert.deepEqual(seen, [1, 2, 3]);

  const failing = createEventQueue<number>();
  failing.push(1);
  failing.fail(undefined);
  const reader = failing.read();
  assert.deepEqual(await reader.next(), { done: false, value: 1 });
  await assert.rejects(reader.next(), (error: unknown) => error === undefined);
});
