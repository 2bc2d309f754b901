// Words in their classes: what a text is about, beyond the words that the training text happened to use.
import { stemOf } from "./stem.ts";
import { hashPair, hashText } from "./word-hash.ts";

/** One word of a text with what rules and features ask of it. */
export type Token = {
  readonly word: string;
  readonly stem: string;
  readonly hash: number;
  readonly classes: readonly WordClass[];
  readonly isContent: boolean;
};

export type WordClass = { readonly term: string; readonly hash: number };

type Phrase = { readonly stems: readonly string[]; readonly wordClass: WordClass };

const noClasses: readonly WordClass[] = [];

const functionWords: ReadonlySet<string> = new Set(
  (
    "a an and any are as at be been but by can could did do does for from had has have he her him his how i if in " +
    "into is it its just like me my of on or our please she should so some than that the their them then there " +
    "these they this those to u up us was we were what when where which who why will with would you your im ive"
  ).split(" "),
);

/** The classes of a policy, ready to be asked. */
export class Lexicon {
  readonly #phrases = new Map<string, Phrase[]>(); // by their last stem
  /** A hash of all classes: a classifier works with the words that it was trained with, and with no others. */
  readonly fingerprint: number;

  constructor(words: Readonly<Record<string, readonly string[]>>) {
    let fingerprint = 0;
    for (const [name, list] of Object.entries(words)) {
      const wordClass = { term: `{${name}}`, hash: hashText(`{${name}}`) };
      fingerprint = hashPair(fingerprint, wordClass.hash);
      for (const phrase of list) {
        fingerprint = hashPair(fingerprint, hashText(phrase));
        const stems = phrase.split("_").map(stemOf);
        const last = stems.at(-1) ?? "";
        const known = this.#phrases.get(last);
        if (known === undefined) this.#phrases.set(last, [{ stems, wordClass }]);
        else known.push({ stems, wordClass });
      }
    }
    this.fingerprint = fingerprint;
  }

  /** Tells whether a word stands in a class by itself. */
  knows(stem: string): boolean {
    return this.#phrases.get(stem)?.some(({ stems }) => stems.length === 1) ?? false;
  }

  /** The token that `word` is after the tokens before it. */
  read(word: string, before: readonly Token[]): Token {
    const stem = stemOf(word);
    return {
      word,
      stem,
      hash: hashText(stem),
      classes: this.#classesOf(stem, before),
      isContent: !functionWords.has(word),
    };
  }

  #classesOf(stem: string, before: readonly Token[]): readonly WordClass[] {
    const phrases = this.#phrases.get(stem);
    if (phrases === undefined) return noClasses;
    const classes: WordClass[] = [];
    for (const { stems, wordClass } of phrases) {
      const isHere = stems.every(
        (part, index) => index === stems.length - 1 || before.at(index - stems.length + 1)?.stem === part,
      );
      if (isHere && !classes.includes(wordClass)) classes.push(wordClass);
    }
    return classes;
  }
}

/** How many tokens back a token, a rule or a feature may look. */
export const maxLookBack = 12;
