// Hostile text of the longest question there is: twice as long costs twice as much, and not more. Work is counted where
// it can be; the rest is processor time at two sizes, with a bound that only a square could break.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeRuns } from "../src/encoded-text.ts";
import { foldText } from "../src/normalizer.ts";
import { readingsOf } from "../src/readings.ts";
import { readAnswer, shippedGuard } from "./stage.ts";

const longest = 512 * 1024;
const small = longest / 64;
const of = (unit: string) => (length: number) =>
  unit.repeat(Math.ceil(length / unit.length)).slice(0, length);

const hostile: Readonly<Record<string, (length: number) => string>> = {
  spaces: of(" "),
  "letters with spaces": of("a b "),
  "letters with wider and wider spaces": (length) => {
    let text = "";
    for (let gap = 1; text.length < length; gap += 1) text += `a${" ".repeat(gap)}`;
    return text.slice(0, length);
  },
  "base64 of text": (length) =>
    Buffer.from(of("the river runs ")(length)).toString("base64").slice(0, length),
  "base64 of base64": (length) => of("QUJDREVGR0hJSktM")(length),
  "base64, almost": of("QUJDREVGR0g \n"),
  "short base64 before long spaces": of(`QUJDREVGR0hJ${" ".repeat(5000)}`),
  "hexadecimal digits": of("6162"),
  "binary digits": of("01100001 "),
  "combining marks": (length) => `a${of("\u0301\u0323\u0335")(length - 1)}`,
  "a letter with marks": of("a\u0323\u0301"),
  "one word": of("abcdefgh"),
  "one letter": of("a"),
  "known words run together": of("killtheriver"),
  "leetspeak that never ends": of("a1"),
  "figures behind a letter": (length) => `a${of("1")(length - 1)}`,
  "points and letters": of("a."),
  "stars and apostrophes": of("a*'"),
  punctuation: of("!@$|+"),
  "ligatures that unfold": of("\ufdfa"),
  "halves of characters": of("\ud83d"),
  "words of a rule": of("build make how to "),
};

test("the words that are asked for, and those that are read, grow with the text and no faster", () => {
  for (const [name, make] of Object.entries(hostile)) {
    const work = (length: number): number => {
      let count = 0;
      const isKnown = (word: string): boolean => {
        count += word.length;
        return word.length === 3;
      };
      for (const words of readingsOf(make(length), isKnown)) count += words.length;
      return count;
    };
    const [less, more] = [work(small), work(small * 4)];
    assert.ok(more <= less * 4 * 1.5 + 5000, `${name}: ${less} and ${more}`);
    assert.ok(more <= small * 4 * 2000, `${name}: ${more} for ${small * 4} characters`);
  }
});

test("what is decoded is never much longer than the text", () => {
  for (const [name, make] of Object.entries(hostile)) {
    const text = make(small);
    const decoded = decodeRuns(text, () => true).reduce((sum, run) => sum + run.length, 0);
    assert.ok(decoded <= 4 * foldText(text).length, `${name}: ${decoded}`);
  }
});

function secondsOf(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

// Sixteen times the text may take 16 times as long, and 4 times that for all that is not the guard's; a square takes 256.
function growsLike(name: string, length: number, run: (length: number) => void): void {
  run(length / 16);
  const less = Math.max(
    secondsOf(() => run(length / 16)),
    0.002,
  );
  const more = secondsOf(() => run(length));
  assert.ok(more <= less * 16 * 4 + 0.5, `${name}: ${less} s and ${more} s`);
}

const mostHostile = ["spaces", "letters with spaces", "base64 of base64", "combining marks", "one word"];
for (const [name, make] of Object.entries(hostile)) {
  test(`a question that is nothing but ${name} costs what its length asks for`, () => {
    const length = mostHostile.includes(name) ? longest : longest / 4;
    growsLike(name, length, (part) => shippedGuard.judge(make(part)));
  });
}

test("hostile answers in small pieces cost what their length asks for", () => {
  for (const name of [
    "spaces",
    "letters with spaces",
    "base64, almost",
    "one letter",
    "leetspeak that never ends",
  ]) {
    const make = hostile[name];
    assert.ok(make !== undefined);
    growsLike(name, longest / 8, (length) => {
      readAnswer(shippedGuard, make(length).match(/.{1,4}/gs) ?? []);
    });
  }
});
