// Patterns of the policy, as the file writes them: words in their order.
//
//   make|build ~3 {explosive}     one of the words, up to three words between, a word of the class
//
// Words match in all their forms; there are no regular expressions, so no text can make them slow.
import { GuardError } from "./guard-error.ts";
import { stemOf } from "./stem.ts";

/** One place of a pattern: the terms that fill it, and how many words may stand before it. */
export type PatternElement = { readonly terms: readonly string[]; readonly gap: number };

const maxElements = 10;
const maxGap = 12;
const word = /^[a-z0-9]+$/;
const classTerm = /^\{[a-z-]+\}$/;

/** Reads a pattern whose classes are all among `classes`; throws `GuardError`. */
export function parsePattern(text: string, classes: ReadonlySet<string>): PatternElement[] {
  const elements: PatternElement[] = [];
  let gap: number | undefined;
  for (const part of text.split(" ")) {
    if (part.startsWith("~")) {
      if (gap !== undefined || elements.length === 0 || !/^~[1-9]\d?$/.test(part)) throw malformed();
      gap = Number(part.slice(1));
      if (gap > maxGap) throw malformed();
      continue;
    }
    elements.push({ terms: part.split("|").map((term) => parseTerm(term, classes)), gap: gap ?? 0 });
    gap = undefined;
  }
  if (gap !== undefined || elements.length > maxElements) throw malformed();
  return elements;
}

function parseTerm(term: string, classes: ReadonlySet<string>): string {
  if (word.test(term)) return stemOf(term);
  if (classTerm.test(term) && classes.has(term.slice(1, -1))) return term;
  throw malformed();
}

function malformed(): GuardError {
  return new GuardError("policy-malformed", "policy: a pattern is malformed or names an unknown class");
}
