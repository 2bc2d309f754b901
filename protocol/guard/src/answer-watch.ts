// Watches an answer while it is written. A word is judged with all that came before it, and leaves only then: what a
// reader gets never holds the word that completes something harmful. What is held back is the word being written.
import { decipherWord, decodeRuns, wordCiphers } from "./encoded-text.ts";
import type { GuardParts } from "./guard-parts.ts";
import { endOfWords } from "./held-words.ts";
import type { Token } from "./lexicon.ts";
import { countLeetWords, foldText, readWords } from "./normalizer.ts";
import { RuleMatcher } from "./rule-matcher.ts";
import type { GuardMessage, Refusal, Verdict } from "./verdict.ts";
import { likelyHazard, WindowScorer } from "./window.ts";

/** A piece of an answer that may leave, and the refusal that ends the answer when there is one. */
export type Watched = { readonly release: string; readonly refused?: Refusal };

const window = 32;
// Harmless text before a harmful sentence must not outweigh it. What has fewer words must be surer.
const windows = [
  { length: 16, margin: 0.5 },
  { length: window, margin: 0 },
] as const;
const leastTokens = 5;

/** The filter of one answer; after a refusal it releases nothing more. */
export class AnswerWatch {
  readonly #parts: GuardParts;
  readonly #tracks: readonly Track[];
  #held = "";
  #leetWords = 0;
  #refused: Refusal | undefined;

  constructor(parts: GuardParts, _messages: readonly GuardMessage[]) {
    this.#parts = parts;
    this.#tracks = [undefined, ...wordCiphers].map(() => new Track(parts));
  }

  /** Takes the next piece and gives what of the answer may leave now. */
  push(piece: string): Watched {
    if (this.#refused !== undefined) return { release: "", refused: this.#refused };
    this.#held += piece;
    return this.#release(endOfWords(this.#held));
  }

  /** Gives the rest of the answer. */
  finish(): Watched {
    if (this.#refused !== undefined) return { release: "", refused: this.#refused };
    return this.#release(this.#held.length);
  }

  #release(end: number): Watched {
    const release = this.#held.slice(0, end);
    if (release === "") return { release };
    this.#held = this.#held.slice(end);
    this.#refused = this.#judge(release);
    if (this.#refused === undefined) return { release };
    this.#held = "";
    return { release: "", refused: this.#refused };
  }

  #judge(text: string): Refusal | undefined {
    const { isKnown } = this.#parts;
    const folded = foldText(text);
    this.#leetWords += countLeetWords(folded);
    const words = readWords(folded, isKnown, this.#leetWords);
    for (const decoded of decodeRuns(text, isKnown)) {
      const track = new Track(this.#parts);
      for (const word of readWords(foldText(decoded), isKnown)) {
        const refusal = track.push(word);
        if (refusal !== undefined) return refusal;
      }
    }
    for (const word of words) {
      for (const [index, track] of this.#tracks.entries()) {
        const cipher = wordCiphers[index - 1];
        const plain = cipher === undefined ? word : decipherWord(word, cipher, isKnown);
        const isHidden = cipher !== undefined && plain !== undefined && isKnown(plain) && !isKnown(word);
        const refusal = plain === undefined ? undefined : track.push(plain, isHidden);
        if (refusal !== undefined && (cipher === undefined || track.isHiding)) return refusal;
      }
    }
    return undefined;
  }
}

// One reading of the answer.
class Track {
  readonly #parts: GuardParts;
  readonly #matcher: RuleMatcher;
  readonly #scorer: WindowScorer;
  #recent: Token[] = [];
  #hidden = 0;

  constructor(parts: GuardParts) {
    this.#parts = parts;
    this.#matcher = new RuleMatcher(parts.answerRules, false);
    this.#scorer = new WindowScorer(parts.classifier.answer, windows);
  }

  /** Whether enough words make sense in this reading only. */
  get isHiding(): boolean {
    return this.#hidden >= 2 && this.#hidden * 3 >= this.#scorer.position;
  }

  push(word: string, isHidden = false): Refusal | undefined {
    const token = this.#parts.lexicon.read(word, this.#recent);
    this.#recent.push(token);
    if (this.#recent.length > window) this.#recent.shift();
    if (isHidden) this.#hidden += 1;
    const met = this.#matcher.push(token);
    if (met !== undefined) return { decision: "refuse", hazard: met, layer: "rules", score: 1 };
    const latest = this.#scorer.push(token);
    if (this.#scorer.position < leastTokens) return undefined;
    const score = Math.max(latest, this.#scorer.last(window));
    if (score < this.#parts.policy.answerThreshold) return undefined;
    const hazard = this.#parts.policy.hazards[likelyHazard(this.#parts.classifier, this.#recent)];
    return hazard && { decision: "refuse", hazard: hazard.id, layer: "classifier", score };
  }
}

/** The verdict on a whole answer. */
export function judgeAnswer(parts: GuardParts, text: string, messages: readonly GuardMessage[]): Verdict {
  const watch = new AnswerWatch(parts, messages);
  const refused = watch.push(text).refused ?? watch.finish().refused;
  return refused ?? { decision: "allow" };
}
