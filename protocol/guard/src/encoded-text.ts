// Text that hides in text: base64, hexadecimal and binary runs, rot13, and letters in reverse. What comes out counts only
// when it reads like text, so that a picture's base64 or a digest is nothing.
import { foldText, readChunk, unveilText } from "./normalizer.ts";
import type { IsKnown } from "./word-splitter.ts";

const maxDepth = 2;
const base64Run = /[A-Za-z0-9+/_-]{12,}={0,2}(?:\s+[A-Za-z0-9+/_-]{16,}={0,2})*/g;
const hexRun = /(?:(?:0x|\\x|%|\\u00)?[0-9a-fA-F]{2}[\s,:]?){6,}/g;
const binaryRun = /(?:[01]{8}\s?){4,}/g;

/** Texts that encoded runs hold, each alone and in its place; together they are at most twice as long as `text`. */
export function decodeRuns(text: string, isKnown: IsKnown, depth = 0): string[] {
  if (depth === maxDepth) return [];
  const found: string[] = [];
  const bare = unveilText(text);
  const replace = (run: string, bytes: Uint8Array | undefined): string => {
    const decoded = bytes === undefined ? undefined : textOf(bytes, isKnown, depth);
    if (decoded === undefined) return run;
    found.push(decoded);
    return ` ${decoded} `;
  };
  const whole = bare
    .replace(binaryRun, (run) => replace(run, decodeBinary(run)))
    .replace(hexRun, (run) => replace(run, decodeHexRun(run)))
    .replace(base64Run, (run) => replace(run, decodeBase64Run(run)));
  if (found.length === 0) return [];
  const inside = found.flatMap((decoded) => decodeRuns(decoded, isKnown, depth + 1));
  return [...found, whole, ...inside];
}

const base64Values: ReadonlyMap<string, number> = new Map(
  [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"].map((digit, value) => [
    digit,
    value,
  ]),
);

// Laxer than any format: who hides something need not follow one.
function decodeBase64Run(run: string): Uint8Array {
  const bytes = new Uint8Array((run.length * 3) >> 2);
  let length = 0;
  let bits = 0;
  let bitCount = 0;
  for (const digit of run) {
    const value = base64Values.get(digit === "-" ? "+" : digit === "_" ? "/" : digit);
    if (value === undefined) continue;
    bits = ((bits << 6) | value) & 0xffff;
    bitCount += 6;
    if (bitCount < 8) continue;
    bitCount -= 8;
    bytes[length] = (bits >> bitCount) & 0xff;
    length += 1;
  }
  return bytes.subarray(0, length);
}

function decodeHexRun(run: string): Uint8Array {
  const digits = run.replace(/0x|\\x|\\u00|[^0-9a-fA-F]/g, "");
  const bytes = new Uint8Array(digits.length >> 1);
  for (let index = 0; index < bytes.length; index += 1) {
    bytes[index] = Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16);
  }
  return bytes;
}

function decodeBinary(run: string): Uint8Array {
  const digits = run.replace(/\s/g, "");
  const bytes = new Uint8Array(digits.length >> 3);
  for (let index = 0; index < bytes.length; index += 1) {
    bytes[index] = Number.parseInt(digits.slice(8 * index, 8 * index + 8), 2);
  }
  return bytes;
}

const decoder = new TextDecoder();
const strange = /(?![\t\n\r])[\p{Cc}\ufffd]/gu;

function textOf(bytes: Uint8Array, isKnown: IsKnown, depth: number): string | undefined {
  const text = decoder.decode(bytes);
  if ((text.match(strange)?.length ?? 0) > bytes.length / 16) return undefined;
  // What was encoded twice reads like text only after the second time.
  return readsLikeText(text, isKnown) || decodeRuns(text, isKnown, depth + 1).length > 0 ? text : undefined;
}

function readsLikeText(text: string, isKnown: IsKnown): boolean {
  const words: string[] = [];
  for (const chunk of foldText(text).split(/\s+/)) readChunk(chunk, isKnown, words);
  return areKnown(words, isKnown) || wordCiphers.some((cipher) => areKnown(words.map(cipher), isKnown));
}

function areKnown(words: readonly string[], isKnown: IsKnown): boolean {
  let letters = 0;
  let known = 0;
  for (const word of words) {
    letters += word.length;
    if (isKnown(word)) known += word.length;
  }
  return known >= 4 && known >= letters * 0.6;
}

/** A way to write words so that each can be read back by itself. */
export type WordCipher = (word: string) => string;

/** Ciphers of words that are looked behind. */
export const wordCiphers: readonly WordCipher[] = [rotate, reverseLetters];

function rotate(word: string): string {
  let plain = "";
  for (let index = 0; index < word.length; index += 1) {
    const code = word.charCodeAt(index);
    plain += String.fromCharCode(code >= 0x61 && code <= 0x7a ? ((code - 0x61 + 13) % 26) + 0x61 : code);
  }
  return plain;
}

/** A word from its last letter to its first. */
export function reverseLetters(word: string): string {
  let plain = "";
  for (let index = word.length - 1; index >= 0; index -= 1) plain += word.charAt(index);
  return plain;
}

/** What a word becomes under a cipher: undefined when it reads better as it stands. */
export function decipherWord(word: string, cipher: WordCipher, isKnown: IsKnown): string | undefined {
  const plain = cipher(word);
  return !isKnown(plain) && isKnown(word) ? undefined : plain;
}

/** Words behind a cipher, when there is reason to think that there is one. */
export function decipherWords(words: readonly string[], cipher: WordCipher, isKnown: IsKnown): string[] {
  const plain: string[] = [];
  let better = 0;
  for (const word of words) {
    const read = decipherWord(word, cipher, isKnown);
    if (read === undefined) continue;
    plain.push(read);
    if (read.length > 2 && isKnown(read) && !isKnown(word)) better += 1;
  }
  return better >= 2 && better * 3 >= plain.length ? plain : [];
}
