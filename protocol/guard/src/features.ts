// What the classifier sees of a text: hashed word n-grams, pairs of content words, character n-grams, and the classes of
// words with their neighbours. Every feature belongs to the token that completes it, so that a stream can be scored token by token.
import { maxLookBack, type Token } from "./lexicon.ts";
import { hashPair, hashText } from "./word-hash.ts";

/** Takes one feature: its hash, and how much it counts. */
export type FeatureVisitor = (hash: number, weight: number) => void;

const weights = {
  word: 1,
  bigram: 0.9,
  trigram: 0.6,
  pair: 0.7,
  start: 0.7,
  characters: 0.35,
  wordClass: 1,
  classPair: 1,
  classAndWord: 0.7,
} as const;

const seeds = {
  bigram: 1,
  trigram: 2,
  pair: 3,
  start: 4,
  classPair: 5,

  before: 7,
  after: 8,
} as const;
const characterLengths = [3, 4, 5] as const;
const maxPairs = 4;
const classReach = 4;
const startLength = 4;

/** Visits the features that `token` completes; `before` holds the tokens before it, at most `maxLookBack`. */
export function visitFeatures(
  token: Token,
  before: readonly Token[],
  position: number,
  visit: FeatureVisitor,
): void {
  visit(token.hash, weights.word);
  visitWords(token, before, position, visit);
  visitCharacters(token.word, visit);
  visitClasses(token, before, visit);
}

function visitWords(token: Token, before: readonly Token[], position: number, visit: FeatureVisitor): void {
  const last = before.at(-1);
  const bigram = hashPair(hashPair(seeds.bigram, last?.hash ?? 0), token.hash);
  visit(bigram, weights.bigram);
  visit(hashPair(hashPair(seeds.trigram, before.at(-2)?.hash ?? 0), bigram), weights.trigram);
  if (position < startLength) visit(hashPair(hashPair(seeds.start, position), token.hash), weights.start);
  if (!token.isContent) return;
  let pairs = 0;
  for (let index = before.length - 1; index >= 0 && pairs < maxPairs; index -= 1) {
    const other = before[index];
    if (other?.isContent !== true) continue;
    visit(hashPair(hashPair(seeds.pair, other.hash), token.hash), weights.pair);
    pairs += 1;
  }
}

function visitCharacters(word: string, visit: FeatureVisitor): void {
  if (word.length < 3) return;
  const text = `<${word}>`;
  for (const length of characterLengths) {
    for (let start = 0; start + length <= text.length; start += 1) {
      visit(hashText(text, start, start + length), weights.characters);
    }
  }
}

function visitClasses(token: Token, before: readonly Token[], visit: FeatureVisitor): void {
  const last = before.at(-1);
  for (const { hash } of last?.classes ?? []) {
    visit(hashPair(hashPair(seeds.after, hash), token.hash), weights.classAndWord);
  }
  for (const { hash } of token.classes) {
    visit(hash, weights.wordClass);
    visit(hashPair(hashPair(seeds.before, last?.hash ?? 0), hash), weights.classAndWord);
    for (const other of before.slice(-classReach)) {
      for (const second of other.classes) {
        if (second.hash === hash) continue;
        visit(hashPair(hashPair(seeds.classPair, second.hash), hash), weights.classPair);
      }
    }
  }
}

/** The tokens that a feature may still look back to. */
export function keepLookBack(before: Token[], token: Token): void {
  before.push(token);
  if (before.length > maxLookBack) before.shift();
}
