// Finds the patterns of many rules in a stream of tokens, in one pass and in constant memory. For each place of a
// pattern it keeps where the pattern so far was last complete: the latest place always serves as well as one before it.
import type { Token } from "./lexicon.ts";
import type { PatternElement } from "./pattern.ts";
import type { Rule } from "./policy.ts";
import type { HazardId } from "./verdict.ts";

type Step = {
  readonly index: number;
  readonly gap: number; // words that may stand between the step before and this one
  readonly isFirst: boolean;
  readonly end: { readonly rule: number; readonly isException: boolean } | undefined;
};

/** How near an exception must stand, in words. */
const reach = 14;

/** The rules of a policy, compiled; shared by all matchers. */
export class RuleSet {
  readonly steps = new Map<string, Step[]>(); // by term
  readonly hazards: HazardId[] = []; // by rule
  stepCount = 0;

  add(hazard: HazardId, rule: Rule): void {
    const number = this.hazards.push(hazard) - 1;
    for (const elements of rule.when) this.#addPattern(elements, { rule: number, isException: false });
    for (const elements of rule.unless) this.#addPattern(elements, { rule: number, isException: true });
  }

  #addPattern(elements: readonly PatternElement[], end: NonNullable<Step["end"]>): void {
    for (const [position, { terms, gap }] of elements.entries()) {
      const isLast = position === elements.length - 1;
      const step = { index: this.stepCount, gap, isFirst: position === 0, end: isLast ? end : undefined };
      this.stepCount += 1;
      for (const term of new Set(terms)) {
        const steps = this.steps.get(term);
        if (steps === undefined) this.steps.set(term, [step]);
        else steps.push(step);
      }
    }
  }
}

/** Reads tokens one by one and remembers which rules they met. */
export class RuleMatcher {
  readonly #rules: RuleSet;
  readonly #patience: number;
  readonly #reached: Int32Array;
  readonly #met = new Map<number, number>(); // rule -> where, as long as an exception could still come
  readonly #excepted = new Map<number, number>();
  #position = 0;

  /** With `waits`, exceptions may also stand behind what they except; without, only before it. */
  constructor(rules: RuleSet, waits: boolean) {
    this.#rules = rules;
    this.#patience = waits ? reach : 0;
    this.#reached = new Int32Array(rules.stepCount).fill(-1000);
  }

  /** The hazard of a rule that can no longer be excepted, or undefined. */
  push(token: Token): HazardId | undefined {
    this.#position += 1;
    const found = this.#stepsOf(token).sort((left, right) => right.index - left.index);
    for (const step of found) {
      const isReached = step.isFirst || this.#position - (this.#reached[step.index - 1] ?? 0) <= step.gap + 1;
      if (!isReached) continue;
      this.#reached[step.index] = this.#position;
      if (step.end?.isException === true) this.#excepted.set(step.end.rule, this.#position);
      else if (step.end !== undefined) this.#meet(step.end.rule);
    }
    return this.#settle(this.#position - this.#patience);
  }

  /** The hazard of a rule that was met and not excepted, when no more tokens come. */
  finish(): HazardId | undefined {
    return this.#settle(this.#position);
  }

  #stepsOf(token: Token): Step[] {
    const found = [...(this.#rules.steps.get(token.stem) ?? [])];
    for (const { term } of token.classes) {
      for (const step of this.#rules.steps.get(term) ?? []) if (!found.includes(step)) found.push(step);
    }
    return found;
  }

  // The first unsettled place is kept: a rule met again and again must not be put off for ever.
  #meet(rule: number): void {
    if (!this.#met.has(rule)) this.#met.set(rule, this.#position);
  }

  #settle(upTo: number): HazardId | undefined {
    for (const [rule, position] of this.#met) {
      const exception = this.#excepted.get(rule);
      if (exception !== undefined && exception >= position - reach) this.#met.delete(rule);
      else if (position <= upTo) return this.#rules.hazards[rule];
    }
    return undefined;
  }
}
