// The guard that Sotto ships, and a small pair of files of which every byte can be changed.
import { readFileSync } from "node:fs";
import { type JsonValue, serializeCanonicalJson } from "@sotto/base";
import { classifierUrl, type Guard, hazardIds, openGuard, policyUrl, type Refusal } from "@sotto/guard";
import { type Classifier, hashText, Lexicon, serializeClassifier } from "@sotto/guard/training";

export const shippedFiles = { policy: readFileSync(policyUrl), classifier: readFileSync(classifierUrl) };
export const shippedGuard: Guard = openGuard(shippedFiles);

type Members = Readonly<Record<string, JsonValue>>;

export const smallHazards: readonly Members[] = hazardIds.map((id) => ({
  id,
  name: id,
  refusal: `No, not ${id}.`,
  threshold: 620,
  rules: [{ when: ["make|build ~3 {bomb}"], unless: ["bath"] }],
  answerRules: [{ when: ["{bomb} from|of powder"] }],
}));
export const smallPolicy: Members = {
  version: 1,
  answerThreshold: 850,
  hazards: smallHazards,
  words: { bomb: "bomb grenade pipe_bomb" },
};

export function policyBytes(changes: Members = {}): Uint8Array {
  return serializeCanonicalJson({ ...smallPolicy, ...changes });
}

const head = (rows: number) => ({
  bits: 2,
  rows,
  scale: 0.01,
  weights: new Int8Array(rows * 4).fill(1),
  bias: Array.from({ length: rows }, () => -2),
});

export function classifierBytes(changes: Partial<Classifier> = {}): Uint8Array {
  return serializeClassifier({
    lexicon: new Lexicon({ bomb: ["bomb", "grenade", "pipe_bomb"] }).fingerprint,
    harm: head(1),
    answer: head(1),
    hazards: head(hazardIds.length),
    vocabulary: Uint32Array.from(["make", "build", "bath"].map((word) => hashText(word))).sort(),
    ...changes,
  });
}

/** What a reader gets of an answer that comes in pieces, and whether it was cut. */
export function readAnswer(
  guard: Guard,
  pieces: Iterable<string>,
): { readonly text: string; readonly refused: Refusal | undefined } {
  const watch = guard.watchAnswer();
  let text = "";
  for (const piece of pieces) {
    const { release, refused } = watch.push(piece);
    text += release;
    if (refused !== undefined) return { text, refused };
  }
  const { release, refused } = watch.finish();
  return { text: text + release, refused };
}
