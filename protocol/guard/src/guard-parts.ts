// What every judgement needs, made once from the two files and never changed.
import type { Classifier } from "./classifier.ts";
import type { Lexicon } from "./lexicon.ts";
import type { Policy } from "./policy.ts";
import type { RuleSet } from "./rule-matcher.ts";
import type { IsKnown } from "./word-splitter.ts";

export type GuardParts = {
  readonly policy: Policy;
  readonly classifier: Classifier;
  readonly lexicon: Lexicon;
  readonly questionRules: RuleSet;
  readonly answerRules: RuleSet;
  readonly isKnown: IsKnown;
};
