// Miss and false-refusal rates of a guard on examples.
import type { Guard } from "@sotto/guard";
import type { Example } from "./examples.ts";
import { type Obfuscation, obfuscations } from "./obfuscations.ts";
import { seededRandom } from "./random.ts";

/** How many of how many were judged wrongly. */
export type Rate = { readonly wrong: number; readonly total: number };

export type Evaluation = {
  readonly missed: Rate; // harmful and allowed
  readonly refused: Rate; // harmless and refused
};

/** Rates on examples that `obfuscate` has changed. */
export function evaluate(guard: Guard, examples: readonly Example[], obfuscate: Obfuscation): Evaluation {
  const random = seededRandom(4);
  const count = { missed: 0, harmful: 0, refused: 0, harmless: 0 };
  for (const { text, isHarmful } of examples) {
    const isRefused = guard.judge(obfuscate(text, random)).decision === "refuse";
    if (isHarmful) {
      count.harmful += 1;
      if (!isRefused) count.missed += 1;
    } else {
      count.harmless += 1;
      if (isRefused) count.refused += 1;
    }
  }
  return {
    missed: { wrong: count.missed, total: count.harmful },
    refused: { wrong: count.refused, total: count.harmless },
  };
}

/** Rates by file, and by obfuscation over all files. */
export function evaluateAll(
  guard: Guard,
  examples: readonly Example[],
): { readonly byFile: Map<string, Evaluation>; readonly byObfuscation: Map<string, Evaluation> } {
  const plain: Obfuscation = (text) => text;
  const files = [...new Set(examples.map(({ file }) => file))].sort();
  return {
    byFile: new Map(
      files.map((file) => [
        file,
        evaluate(
          guard,
          examples.filter((example) => example.file === file),
          plain,
        ),
      ]),
    ),
    byObfuscation: new Map(
      Object.entries(obfuscations).map(([name, obfuscate]) => [name, evaluate(guard, examples, obfuscate)]),
    ),
  };
}

/** A rate in percent. */
export function percent({ wrong, total }: Rate): number {
  return total === 0 ? 0 : (100 * wrong) / total;
}
