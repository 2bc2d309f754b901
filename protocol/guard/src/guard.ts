// The guard, made from the bytes of its two files.
import { AnswerWatch } from "./answer-watch.ts";
import { isInVocabulary, parseClassifier } from "./classifier.ts";
import { GuardError } from "./guard-error.ts";
import type { GuardParts } from "./guard-parts.ts";
import { Lexicon } from "./lexicon.ts";
import { parsePolicy } from "./policy.ts";
import { judgeMessages, judgeText } from "./question.ts";
import { RuleSet } from "./rule-matcher.ts";
import { stemOf } from "./stem.ts";
import type { GuardMessage, HazardId, Verdict } from "./verdict.ts";

/** Judges questions and answers; it keeps nothing of either. */
export type Guard = {
  readonly version: number;
  /** Judges one text by a user. */
  judge(text: string): Verdict;
  /** Judges a conversation up to its newest question; the first turn that must be refused decides. */
  judgeChat(messages: readonly GuardMessage[]): Verdict;
  /** Begins to watch an answer, which may be to `messages`. */
  watchAnswer(messages?: readonly GuardMessage[]): AnswerWatch;
  /** What to say instead of an answer; throws `GuardError` for a hazard that is none. */
  refusal(hazard: HazardId): string;
};

/** Makes a guard from the bytes of a policy and of the classifier trained with its words; throws `GuardError`. */
export function openGuard(files: { readonly policy: Uint8Array; readonly classifier: Uint8Array }): Guard {
  const policy = parsePolicy(files.policy);
  const classifier = parseClassifier(files.classifier);
  const lexicon = new Lexicon(policy.words);
  if (lexicon.fingerprint !== classifier.lexicon) {
    throw new GuardError("not-a-pair", "classifier: trained with the words of another policy");
  }
  const questionRules = new RuleSet();
  const answerRules = new RuleSet();
  for (const hazard of policy.hazards) {
    for (const rule of hazard.rules) questionRules.add(hazard.id, rule);
    for (const rule of hazard.answerRules) answerRules.add(hazard.id, rule);
  }
  const isKnown = (word: string): boolean =>
    isInVocabulary(classifier.vocabulary, word) || lexicon.knows(stemOf(word));
  const parts: GuardParts = { policy, classifier, lexicon, questionRules, answerRules, isKnown };
  return {
    version: policy.version,
    judge: (text) => judgeText(parts, text),
    judgeChat: (messages) => judgeMessages(parts, messages),
    watchAnswer: (messages = []) => new AnswerWatch(parts, messages),
    refusal: (id) => {
      const hazard = policy.hazards.find((candidate) => candidate.id === id);
      if (hazard === undefined) throw new GuardError("unknown-hazard", "guard: no such hazard");
      return hazard.refusal;
    },
  };
}
