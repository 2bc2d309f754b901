// Makes a classifier from examples: vocabulary, features, and the three heads.
import { hazardIds } from "@sotto/guard";
import {
  type Classifier,
  foldText,
  hashText,
  keepLookBack,
  Lexicon,
  readWords,
  slotOf,
  stemOf,
  type Token,
  visitFeatures,
} from "@sotto/guard/training";
import { answerExamples } from "./answers.ts";
import { augment, dropWords, windowsOf } from "./augmentation.ts";
import type { Example } from "./examples.ts";
import { type Features, LinearModel } from "./linear-model.ts";
import { type Random, seededRandom, shuffle } from "./random.ts";

export type TrainingInput = {
  readonly questions: readonly Example[];
  readonly answers: readonly Example[];
  readonly words: Readonly<Record<string, readonly string[]>>;
  readonly report: (line: string) => void;
};

const harmBits = 19;
const answerBits = 16;
const hazardBits = 15;
const epochs = { harm: 10, answer: 5, hazards: 6 } as const;
const decay = 4e-3;
const harmModels = 8;

/** Trains all heads; the same input gives the same classifier. */
export function trainClassifier({ questions, answers, words, report }: TrainingInput): Classifier {
  const lexicon = new Lexicon(words);
  const vocabulary = vocabularyOf([...questions, ...answers]);
  const reader = new TextReader(lexicon, new Set(vocabulary));
  report(`${questions.length} questions, ${answers.length} answers, ${vocabulary.length} words`);
  // Harmless answers are harmless prose, too, such as people paste into questions.
  const texts = [...questions, ...answers.filter(({ isHarmful }) => !isHarmful)];
  const harmless = texts.filter(({ isHarmful }) => !isHarmful).map(({ text }) => text);
  // The mean of several models is steadier than any of them.
  const harm = new LinearModel(harmBits, 1, decay);
  for (let seed = 1; seed <= harmModels; seed += 1) {
    const model = trainBinary(`harm, model ${seed} of ${harmModels}`, reader, texts, {
      bits: harmBits,
      epochs: epochs.harm,
      seed,
      report,
      augment: (example, random) => augment(example, harmless, random),
    });
    harm.add(model, 1 / harmModels);
  }
  const answer = trainBinary("answer", reader, answerExamples(questions, answers), {
    bits: answerBits,
    epochs: epochs.answer,
    seed: 1,
    report,
    augment: ({ text }) => text,
  });
  const hazards = trainHazards(reader, questions, report);
  return {
    lexicon: lexicon.fingerprint,
    harm: harm.quantise(),
    answer: answer.quantise(),
    hazards: hazards.quantise(),
    vocabulary: Uint32Array.from(vocabulary),
  };
}

// Words that stand in at least two examples; what stands in one may be a typing mistake.
function vocabularyOf(examples: readonly Example[]): number[] {
  const counts = new Map<string, number>();
  for (const { text } of examples) {
    for (const word of new Set(readWords(foldText(text), () => true))) {
      if (/^[a-z]+$/.test(word)) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  const hashes = [...counts].filter(([, count]) => count > 1).map(([word]) => hashText(word));
  return [...new Set(hashes)].sort((left, right) => left - right);
}

class TextReader {
  readonly #lexicon: Lexicon;
  readonly #isKnown: (word: string) => boolean;

  constructor(lexicon: Lexicon, vocabulary: ReadonlySet<number>) {
    this.#lexicon = lexicon;
    this.#isKnown = (word) => vocabulary.has(hashText(word)) || lexicon.knows(stemOf(word));
  }

  wordsOf(text: string): string[] {
    return readWords(foldText(text), this.#isKnown);
  }

  featuresOf(words: readonly string[], bits: number): Features {
    const slots: number[] = [];
    const values: number[] = [];
    const before: Token[] = [];
    let norm = 0;
    for (const [position, word] of words.entries()) {
      const token = this.#lexicon.read(word, before);
      visitFeatures(token, before, position, (hash, weight) => {
        slots.push(slotOf({ bits }, hash));
        values.push(weight);
        norm += weight * weight;
      });
      keepLookBack(before, token);
    }
    const scale = 1 / Math.sqrt(Math.max(norm, 1));
    return { slots: Int32Array.from(slots), values: Float32Array.from(values, (value) => value * scale) };
  }
}

type BinaryOptions = {
  readonly bits: number;
  readonly epochs: number;
  readonly seed: number;
  readonly report: (line: string) => void;
  readonly augment: (example: Example, random: Random) => string;
};

function trainBinary(
  name: string,
  reader: TextReader,
  examples: readonly Example[],
  { bits, epochs, seed, report, augment }: BinaryOptions,
): LinearModel {
  const random = seededRandom(seed);
  const model = new LinearModel(bits, 1, decay);
  const harmful = examples.filter(({ isHarmful }) => isHarmful).length;
  const weights = {
    harmful: examples.length / (2 * harmful),
    harmless: examples.length / (2 * (examples.length - harmful)),
  };
  const first = (features: Features): number => model.sums(features)[0] ?? 0;
  for (let epoch = 1; epoch <= epochs; epoch += 1) {
    let loss = 0;
    for (const example of shuffle(examples, random)) {
      const { isHarmful } = example;
      const words = dropWords(reader.wordsOf(augment(example, random)), random);
      const features = isHarmful
        ? reader.featuresOf(words, bits)
        : windowsOf(words, random)
            .map((part) => reader.featuresOf(part, bits))
            .reduce((left, right) => (first(right) > first(left) ? right : left));
      const sum = first(features);
      const score = 1 / (1 + Math.exp(-sum));
      const weight = isHarmful ? weights.harmful : weights.harmless;
      loss -= weight * Math.log(Math.max(isHarmful ? score : 1 - score, 1e-9));
      model.step(features, [weight * (score - (isHarmful ? 1 : 0))]);
    }
    report(`${name}: round ${epoch} of ${epochs}, loss ${(loss / examples.length).toFixed(4)}`);
  }
  return model;
}

function trainHazards(
  reader: TextReader,
  questions: readonly Example[],
  report: (line: string) => void,
): LinearModel {
  const random = seededRandom(2);
  const model = new LinearModel(hazardBits, hazardIds.length, decay);
  const examples = questions.filter(({ isHarmful }) => isHarmful);
  for (let epoch = 1; epoch <= epochs.hazards; epoch += 1) {
    let right = 0;
    for (const { text, hazard } of shuffle(examples, random)) {
      const features = reader.featuresOf(reader.wordsOf(text), hazardBits);
      const sums = [...model.sums(features)];
      const highest = Math.max(...sums);
      const powers = sums.map((sum) => Math.exp(sum - highest));
      const total = powers.reduce((left, power) => left + power, 0);
      const wanted = hazard === undefined ? -1 : hazardIds.indexOf(hazard);
      if (sums.indexOf(highest) === wanted) right += 1;
      model.step(
        features,
        powers.map((power, row) => power / total - (row === wanted ? 1 : 0)),
      );
    }
    report(
      `hazards: round ${epoch} of ${epochs.hazards}, ${((100 * right) / examples.length).toFixed(1)} % right`,
    );
  }
  return model;
}
