// What of an answer is held back while it is written: the word that has not ended, and letters that stand alone, since
// they may be a word that is spelled out.

const maxHeld = 1024; // characters without white space, so that what they encode is seen whole
const maxSpelled = 512; // characters of letters that stand alone
const longestLetter = 3; // a letter with what punctuates it
const space = /\s/;
const aloneLetter = /^[^\p{L}\p{N}]*[\p{L}\p{N}]?[^\p{L}\p{N}]*$/u;

/** How much of `text` can be judged without what comes next. */
export function endOfWords(text: string): number {
  let end = text.length;
  while (end > 0 && !space.test(text.charAt(end - 1))) end -= 1;
  if (text.length - end > maxHeld) return endOfCharacters(text);
  const start = startOfLetters(text, end);
  return end - start > maxSpelled ? end : start;
}

// Half a character cannot be sent.
function endOfCharacters(text: string): number {
  const last = text.charCodeAt(text.length - 1);
  return last >= 0xd800 && last < 0xdc00 ? text.length - 1 : text.length;
}

// Where the letters that stand alone before `end` begin; nothing before their bound is looked at.
function startOfLetters(text: string, end: number): number {
  let start = end;
  while (start > 0 && end - start <= maxSpelled) {
    let wordEnd = start;
    while (wordEnd > 0 && space.test(text.charAt(wordEnd - 1))) wordEnd -= 1;
    let wordStart = wordEnd;
    while (wordStart > 0 && wordEnd - wordStart <= longestLetter && !space.test(text.charAt(wordStart - 1))) {
      wordStart -= 1;
    }
    const word = text.slice(wordStart, wordEnd);
    if (word === "" || word.length > longestLetter || !aloneLetter.test(word)) break;
    start = wordStart;
  }
  return start;
}
