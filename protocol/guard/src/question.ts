// Judges what users ask: the policy's rules and the classifier over every reading of a text; the worst reading counts.
import { judgeAnswer } from "./answer-watch.ts";
import { keepLookBack } from "./features.ts";
import type { GuardParts } from "./guard-parts.ts";
import type { Token } from "./lexicon.ts";
import { readingsOf } from "./readings.ts";
import { RuleMatcher } from "./rule-matcher.ts";
import type { GuardMessage, Refusal, Verdict } from "./verdict.ts";
import { likelyHazard, WindowScorer } from "./window.ts";

// A text of up to `wholeLength` words is also judged as a whole. Many windows are many chances to be wrong: the shorter
// they are, the surer they must be.
const wholeLength = 60;
const windows = [
  { length: 20, margin: 1.3 },
  { length: 40, margin: 1.4 },
  { length: wholeLength, margin: 1.1 },
] as const;
// A few words say little, and people say them all the time; what is meant by them shows in what comes next.
const fewWords = 3;
const surety = 0.7;
const allow: Verdict = { decision: "allow" };

/** The verdict on one text by a user. */
export function judgeText(parts: GuardParts, text: string): Verdict {
  let worst: Refusal | undefined;
  for (const words of readingsOf(text, parts.isKnown)) {
    const refusal = judgeWords(parts, words);
    if (refusal?.layer === "rules") return refusal;
    if (refusal !== undefined && refusal.score > (worst?.score ?? 0)) worst = refusal;
  }
  return worst ?? allow;
}

function judgeWords(parts: GuardParts, words: readonly string[]): Refusal | undefined {
  const matcher = new RuleMatcher(parts.questionRules, true);
  const scorer = new WindowScorer(parts.classifier.harm, windows);
  const before: Token[] = [];
  let best = 0;
  let bestEnd = words.length;
  for (const [index, word] of words.entries()) {
    const token = parts.lexicon.read(word, before);
    keepLookBack(before, token);
    const met = matcher.push(token);
    if (met !== undefined) return { decision: "refuse", hazard: met, layer: "rules", score: 1 };
    const score = scorer.push(token);
    if (score <= best) continue;
    best = score;
    bestEnd = index + 1;
  }
  const met = matcher.finish();
  if (met !== undefined) return { decision: "refuse", hazard: met, layer: "rules", score: 1 };
  const end = words.length <= wholeLength ? scorer.last(wholeLength) : 0;
  if (end > best) {
    best = end;
    bestEnd = words.length;
  }
  if (words.length <= fewWords && best < surety) return undefined;
  return refusalBy(parts, words.slice(Math.max(0, bestEnd - wholeLength), bestEnd), best);
}

function refusalBy(parts: GuardParts, words: readonly string[], score: number): Refusal | undefined {
  const { hazards } = parts.policy;
  if (score < Math.min(...hazards.map(({ threshold }) => threshold))) return undefined;
  const tokens: Token[] = [];
  for (const word of words) tokens.push(parts.lexicon.read(word, tokens.slice(-4)));
  const hazard = hazards[likelyHazard(parts.classifier, tokens)];
  if (hazard === undefined || score < hazard.threshold) return undefined;
  return { decision: "refuse", hazard: hazard.id, layer: "classifier", score };
}

const seam = 160; // characters of two turns that are read as one text

/** The verdict on a conversation: every turn, and neighbouring turns of the user read together. */
export function judgeMessages(parts: GuardParts, messages: readonly GuardMessage[]): Verdict {
  let last: string | undefined;
  for (const [index, { role, content }] of messages.entries()) {
    if (role === "assistant") {
      const verdict = judgeAnswer(parts, content, messages.slice(0, index));
      if (verdict.decision === "refuse") return verdict;
      continue;
    }
    const verdict = judgeText(parts, content);
    if (verdict.decision === "refuse") return verdict;
    if (last !== undefined) {
      const both = judgeText(parts, `${last.slice(-seam)} ${content.slice(0, seam)}`);
      if (both.decision === "refuse") return both;
    }
    last = content;
  }
  return allow;
}
