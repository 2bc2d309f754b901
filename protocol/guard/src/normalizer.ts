// Text to words as a reader would read them: look-alikes, accents, invisible characters, case, leetspeak, letters that
// are spaced out or punctuated, and words that are run together. Everything here takes linear time.
import { lookAlikes } from "./look-alikes.ts";
import { type IsKnown, splitWords } from "./word-splitter.ts";

const invisible = /[\p{M}\p{Cf}\p{Cs}\p{Co}\u115f\u1160\u3164\uffa0]+/gu;
const tags = /[\u{e0020}-\u{e007e}]/gu;
const other = /[^\p{ASCII}]/gu;

/** Lower-case text without accents, look-alikes and invisible characters. */
export function foldText(text: string): string {
  return unveilText(text).toLowerCase().replace(other, latinOf).toLowerCase();
}

/** Text without accents and invisible characters, in its own case: what encodings are looked for in. */
export function unveilText(text: string): string {
  // Marks go first: decomposition sorts runs of them, in quadratic time when they are hostile.
  const bare = text
    .replace(tags, (tag) => String.fromCharCode((tag.codePointAt(0) ?? 0) - 0xe0000))
    .replace(invisible, "");
  return bare.normalize("NFKD").replace(invisible, "");
}

function latinOf(character: string): string {
  const latin = lookAlikes.get(character);
  if (latin !== undefined) return latin;
  const code = character.codePointAt(0) ?? 0;
  // Letters in squares, circles and on flags, white and black.
  if (code >= 0x1f130 && code <= 0x1f189) return String.fromCharCode(0x61 + (((code - 0x1f130) % 32) % 26));
  if (code >= 0x1f1e6 && code <= 0x1f1ff) return String.fromCharCode(0x61 + code - 0x1f1e6);
  return character;
}

const maxWordLength = 64;
const chunks = /\S+/g;
const plainWord = /^[a-z]+$/;
const spelled = /^[a-z0-9](?:[.,_*/~-][a-z0-9])+$/;
const leetWord = /[a-z][0-9@$!]+[a-z]/g;
const wordParts = /[^a-z0-9]+/;
const letterParts = /[a-z0-9]+/g;

/** The number of places in folded text where a figure stands between letters. */
export function countLeetWords(folded: string): number {
  return folded.match(leetWord)?.length ?? 0;
}

/** The words of folded text; `leetWords` counts those of a text that it is only a piece of. */
export function readWords(
  folded: string,
  isKnown: IsKnown,
  leetWords: number = countLeetWords(folded),
): string[] {
  const words: string[] = [];
  const spaced = new SpacedLetters(words, isKnown);
  const isLeet = leetWords > 1;
  let end = 0;
  for (const { 0: found, index } of folded.matchAll(chunks)) {
    const gap = index - end;
    end = index + found.length;
    const chunk = isLeet ? readFigures(found, isKnown) : found;
    if (spaced.take(chunk, gap)) continue;
    spaced.flush();
    readChunk(chunk, isKnown, words);
  }
  spaced.flush();
  return words;
}

// Among words in leetspeak, figures and symbols are letters wherever they stand.
function readFigures(chunk: string, isKnown: IsKnown): string {
  if (chunk.length > maxWordLength || !/^[0-9@$!]/.test(chunk)) return chunk;
  const plain = translate(chunk.replace(/[.,:;?]$/, ""));
  return plainWord.test(plain) && (isKnown(plain) || /[a-z]/.test(chunk)) ? plain : chunk;
}

/** The words of one chunk of folded text that holds no white space. */
export function readChunk(chunk: string, isKnown: IsKnown, words: string[]): void {
  const trimmed = trim(chunk).replace(/['’](?=[a-z0-9])/g, "");
  const whole = wordOf(trimmed, isKnown);
  const parts = whole === undefined ? trimmed.split(wordParts) : [whole];
  for (const part of parts) if (part !== "") readWord(wordOf(part, isKnown) ?? part, isKnown, words);
}

function wordOf(chunk: string, isKnown: IsKnown): string | undefined {
  if (plainWord.test(chunk)) return chunk;
  return chunk.length <= maxWordLength ? plainOf(chunk, isKnown) : undefined;
}

function trim(chunk: string): string {
  let start = 0;
  let end = chunk.length;
  while (start < end && !/[a-z0-9@$]/.test(chunk.charAt(start))) start += 1;
  while (end > start && !/[a-z0-9$+]/.test(chunk.charAt(end - 1))) end -= 1;
  return chunk.slice(start, end);
}

function readWord(word: string, isKnown: IsKnown, words: string[]): void {
  if (word.length <= 3 || isKnown(word)) {
    words.push(word);
  } else if (word.length > maxWordLength && !plainWord.test(word)) {
    words.push(word.slice(0, maxWordLength)); // a digest, a key, a picture
  } else {
    const single = word.replace(/(.)\1{2,}/g, "$1$1");
    const candidates = [single, single.replace(/(.)\1/g, "$1")];
    const known = single === word ? undefined : candidates.find(isKnown);
    if (known !== undefined) words.push(known);
    else if (word.length < 8) words.push(word);
    else for (const part of splitWords(word, isKnown)) words.push(part);
  }
}

const leet: Readonly<Record<string, string>> = {
  "0": "o",
  "1": "i",
  "2": "z",
  "3": "e",
  "4": "a",
  "5": "s",
  "6": "g",
  "7": "t",
  "8": "b",
  "9": "g",
  "@": "a",
  $: "s",
  "!": "i",
  "|": "l",
  "+": "t",
  "€": "e",
  "£": "l",
};

// What a chunk with foreign characters in it stands for, when that is one word.
function plainOf(chunk: string, isKnown: IsKnown): string | undefined {
  if (isKnown(chunk)) return chunk;
  const joined = (chunk.match(letterParts) ?? []).join("");
  const parts = chunk.split(wordParts).filter((part) => part !== "");
  if (spelled.test(chunk) && (parts.length > 2 || isKnown(joined))) return joined;
  if (plainWord.test(joined) && parts.length > 1) {
    if (isKnown(joined) && !parts.every(isKnown)) return joined;
    const masked = unmask(chunk, isKnown);
    if (masked !== undefined) return masked;
  }
  if (!/[a-z]/.test(chunk)) return undefined;
  const translated = translate(chunk);
  for (const candidate of [translated, translated.replaceAll("i", "l")]) {
    if (candidate.length > 1 && isKnown(candidate)) return candidate;
  }
  const withL = translate(chunk.replaceAll("1", "l").replaceAll("!", "l"));
  if (plainWord.test(withL) && isKnown(withL)) return withL;
  // A figure between letters is leetspeak whatever the word; one at the end is a number.
  return plainWord.test(translated) && /[a-z][^a-z.,/:;_-]+[a-z]/.test(chunk) ? translated : undefined;
}

function translate(chunk: string): string {
  let plain = "";
  for (const character of chunk) plain += leet[character] ?? character;
  return plain;
}

// One letter hidden behind a star or the like.
function unmask(chunk: string, isKnown: IsKnown): string | undefined {
  const hidden = /^([a-z]+)[*#_-]([a-z]+)$/.exec(chunk);
  if (hidden === null) return undefined;
  const [, before = "", after = ""] = hidden;
  if (isKnown(before) && isKnown(after)) return undefined;
  return [..."aeiou"].map((vowel) => before + vowel + after).find(isKnown);
}

// Collects single letters with space between; wider space ends a word.
class SpacedLetters {
  readonly #words: string[];
  readonly #isKnown: IsKnown;
  #letters: string[] = [];
  #gaps: number[] = [];

  constructor(words: string[], isKnown: IsKnown) {
    this.#words = words;
    this.#isKnown = isKnown;
  }

  take(chunk: string, gap: number): boolean {
    const letter = chunk.length === 1 ? chunk : chunk.length <= 3 ? chunk.replace(/[^a-z0-9@$]/g, "") : "";
    if (letter.length !== 1 || !/[a-z0-9@$!|+]/.test(letter)) return false;
    this.#letters.push(letter);
    this.#gaps.push(gap);
    return true;
  }

  flush(): void {
    if (this.#letters.length === 0) return;
    if (this.#letters.length < 3) for (const letter of this.#letters) this.#words.push(letter);
    else for (const word of this.#join()) readChunk(word, this.#isKnown, this.#words);
    this.#letters = [];
    this.#gaps = [];
  }

  #join(): string[] {
    let narrow = Infinity;
    for (const gap of this.#gaps.slice(1)) narrow = Math.min(narrow, gap);
    const joined: string[] = [];
    for (const [index, letter] of this.#letters.entries()) {
      const isStart = index === 0 || (this.#gaps[index] ?? 0) > narrow;
      if (isStart) joined.push(letter);
      else joined[joined.length - 1] += letter;
    }
    return joined;
  }
}
