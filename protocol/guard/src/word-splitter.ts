// Words that are run together, taken apart into words that are known.

/** Tells whether a folded word is one that the guard has seen. */
export type IsKnown = (word: string) => boolean;

const longestWord = 18;
const costOfWord = 1;
const costOfShortWord = 1.4; // one or two letters
const costOfLetter = 1.7; // that belongs to no known word

/** The cheapest way to read letters as words; at most 64 letters, or time would not be linear. */
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
      if (total < best) {
        best = total;
        start = begin;
      }
    }
    cost.push(best);
    from.push(start);
  }
  return readBack(letters, from, isKnown);
}

// Text that mostly is not words stays as it is: pieces of a name must not become words.
function readBack(letters: string, from: readonly number[], isKnown: IsKnown): string[] {
  const words: string[] = [];
  let unknown = 0;
  for (let end = letters.length; end > 0; end = from[end] ?? 0) {
    const word = letters.slice(from[end] ?? 0, end);
    if (word.length === 1 && word !== "a" && word !== "i") unknown += 1;
    words.unshift(word);
  }
  const isRead =
    unknown === 0 && words.length <= letters.length / 2.5 && words.every((w) => w.length < 3 || isKnown(w));
  return isRead ? words : [letters];
}
