// What of an answer is held back while it is written: the word that has not ended, letters that stand alone, since they
// may be a word that is spelled out, and runs that may be the lines of one encoded text.

const maxHeld = 1024; // characters without white space, so that what they encode is seen whole
const maxOpen = 512; // characters of words that may go on
const space = /\s/;
const aloneLetter = /^[^\p{L}\p{N}]*[\p{L}\p{N}]?[^\p{L}\p{N}]*$/u;
const longestLetter = 3; // a letter with what punctuates it
const encodedRun = /^[A-Za-z0-9+/_-]{12,}$/;

/** How much of `text` can be judged without what comes next. */
export function endOfWords(text: string): number {
  let end = text.length;
  while (end > 0 && !space.test(text.charAt(end - 1))) end -= 1;
  if (text.length - end > maxHeld) return endOfCharacters(text);
  const start = startOfOpen(text, end);
  return end - start > maxOpen ? end : start;
}

// Half a character cannot be sent.
function endOfCharacters(text: string): number {
  const last = text.charCodeAt(text.length - 1);
  return last >= 0xd800 && last < 0xdc00 ? text.length - 1 : text.length;
}

// Where the words that may go on begin; nothing before their bound is looked at.
function startOfOpen(text: string, end: number): number {
  let start = end;
  while (start > 0 && end - start <= maxOpen) {
    let wordEnd = start;
    while (wordEnd > 0 && space.test(text.charAt(wordEnd - 1))) wordEnd -= 1;
    let wordStart = wordEnd;
    while (wordStart > 0 && wordEnd - wordStart <= maxOpen && !space.test(text.charAt(wordStart - 1))) {
      wordStart -= 1;
    }
    if (!mayGoOn(text.slice(wordStart, wordEnd))) break;
    start = wordStart;
  }
  return start;
}

function mayGoOn(word: string): boolean {
  if (word === "") return false;
  return word.length <= longestLetter ? aloneLetter.test(word) : encodedRun.test(word);
}
