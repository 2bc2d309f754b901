// All the ways to read a text: as it stands, and what is encoded in it.
import { decipherWords, decodeRuns, reverseLetters, wordCiphers } from "./encoded-text.ts";
import { foldText, readWords } from "./normalizer.ts";
import type { IsKnown } from "./word-splitter.ts";

/** The words of every reading of a text; together at most a fixed multiple of its length. */
export function readingsOf(text: string, isKnown: IsKnown): string[][] {
  const decoded = decodeRuns(text, isKnown);
  // What was decoded stands there in its place as well: the letters of its code say nothing more.
  return (decoded.length === 0 ? [text] : decoded).flatMap((version) => {
    const words = readWords(foldText(version), isKnown);
    const readings = [words];
    for (const cipher of wordCiphers) {
      const plain = decipherWords(words, cipher, isKnown);
      if (plain.length === 0) continue;
      readings.push(plain);
      // Letters in reverse may mean words in reverse, too.
      if (cipher === reverseLetters) readings.push(plain.toReversed());
    }
    return readings;
  });
}
