// Variants of the examples, made anew in each round of training. Harmful and harmless ones are changed alike, so that the
// form of a request says nothing about it.
import type { Example } from "./examples.ts";
import { pick, type Random } from "./random.ts";
import { wrap } from "./wrappers.ts";

const windowLengths = [20, 40, 60] as const;
const windowTries = 5;

const asked =
  /^(?:(?:please|hi|hey),? )?(?:how (?:do|can|could|would|should|might) (?:i|you|we|one|someone)|how to|what(?:'s| is) the (?:best|easiest|fastest|quickest|safest) way (?:to|for me to)|(?:tell|show|teach) me how (?:to|i can)|explain(?: to me)? how (?:to|i can)|(?:(?:best|easiest) )?ways? to|help me(?: to)?)\s+/i;
const forms = [
  "how do I",
  "how can I",
  "how to",
  "how would one",
  "how could someone",
  "tell me how to",
  "explain how to",
  "explain step by step how to",
  "teach me how to",
  "show me how to",
  "give me instructions on how to",
  "give me a detailed guide on how to",
  "write a tutorial on how to",
  "provide step-by-step instructions on how to",
  "describe how to",
  "I want to",
  "I need to",
  "I would like to",
  "help me",
  "help me to",
  "what is the best way to",
  "what's the easiest way to",
  "ways to",
  "outline a plan to",
  "list ways to",
  "can you tell me how to",
  "what do I need to",
  "is there a way to",
  "develop a plan to",
  "what steps do I take to",
] as const;

/** Some windows of a text: long text is judged in windows, and every window of harmless text is harmless. */
export function windowsOf(words: readonly string[], random: Random): (readonly string[])[] {
  const shortest = windowLengths[0];
  if (words.length <= shortest) return [words];
  return Array.from({ length: windowTries }, () => {
    const length = pick(windowLengths, random);
    const start = Math.floor(random() * Math.max(1, words.length - length + 1));
    return words.slice(start, start + length);
  });
}

/** A text as somebody else might have put it: in another form, wrapped, misspelt, or among harmless text. */
export function augment(
  { text: given, isHarmful }: Example,
  harmless: readonly string[],
  random: Random,
): string {
  const text = random() < 0.8 ? given.replace(asked, () => `${pick(forms, random)} `) : given;
  const kind = random();
  if (kind < 0.2) return wrap(text, random);
  if (kind < 0.28) return misspell(text, random);
  if (kind < 0.43) return among(text, harmless, isHarmful ? 1 : 1 + Math.floor(random() * 4), random);
  return text;
}

// Long text: with harmless neighbours, before or behind.
function among(text: string, harmless: readonly string[], count: number, random: Random): string {
  let long = text;
  for (let index = 0; index < count; index += 1) {
    const other = pick(harmless, random).slice(0, 300);
    long = random() < 0.5 ? `${long} ${other}` : `${other} ${long}`;
  }
  return long;
}

function misspell(text: string, random: Random): string {
  return text.replace(/\b\w{5,}\b/g, (word) => {
    if (random() > 0.3) return word;
    const at = 1 + Math.floor(random() * (word.length - 2));
    return pick([0, 1, 2], random) === 0
      ? word.slice(0, at) + word.slice(at + 1)
      : word.slice(0, at) + word.charAt(at + 1) + word.charAt(at) + word.slice(at + 2);
  });
}

/** A text without some of its words: it should be judged by more than one of them. */
export function dropWords(words: readonly string[], random: Random): readonly string[] {
  if (words.length < 5 || random() < 0.6) return words;
  return words.filter(() => random() > 0.1);
}
