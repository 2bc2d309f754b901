// Words that are run together, taken apart into words that are known.

/** Tells whether a folded word is one that the guard has seen. */
export type IsKnown = (word: string) => boolean;

const longestWord = 18;
const shortestRun = 18;
const costOfWord = 1;
const costOfShortWord = 1.3; // one or two letters
const costOfLetter = 1.7; // that belongs to no known word

/** The cheapest way to read letters as words, or the letters as they are when they hardly are words. */
export function splitWords(letters: string, isKnown: IsKnown): string[] {
  const cost: number[] = [0];
  const from: number[] = [0];
  for (let end = 1; end <= letters.length; end += 1) {
    let best = (cost[end - 1] ?? 0) + costOfLetter;
    let start = end - 1;
    for (let begin = Math.max(0, end - longestWord); begin < end; begin += 1) {
      const word = letters.slice(begin, end);
      const isWord = word.length === 1 ? word === "a" || word === "i" : isKnown(word);
      if (!isWord) continue;
      const total = (cost[begin] ?? 0) + (word.length < 3 ? costOfShortWord : costOfWord);
      if (total <= best) {
        best = total;
        start = begin;
      }
    }
    cost.push(best);
    from.push(start);
  }
  return readBack(letters, from, isKnown);
}

// A long run may hold words that nobody has seen; a short one is a name unless every part of it is a word.
function readBack(letters: string, from: readonly number[], isKnown: IsKnown): string[] {
  const words: string[] = [];
  let stray = "";
  let strays = 0;
  for (let end = letters.length; end > 0; end = from[end] ?? 0) {
    const word = letters.slice(from[end] ?? 0, end);
    if (word.length > 1 ? isKnown(word) : word === "a" || word === "i") {
      if (stray !== "") words.push(stray);
      words.push(word);
      stray = "";
    } else {
      stray = word + stray;
      strays += word.length;
    }
  }
  if (stray !== "") words.push(stray);
  const isRun = letters.length >= shortestRun;
  const mostStrays = isRun ? letters.length * 0.4 : 0;
  const mostWords = letters.length / (isRun ? 2 : 2.5);
  return strays <= mostStrays && words.length <= mostWords ? words.reverse() : [letters];
}
