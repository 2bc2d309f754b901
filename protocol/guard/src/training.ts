// What the trainer needs and no service does: the same words, features and file as the guard.
export { type Classifier, type Head, serializeClassifier, slotOf } from "./classifier.ts";
export { keepLookBack, visitFeatures } from "./features.ts";
export { Lexicon, type Token } from "./lexicon.ts";
export { foldText, readWords } from "./normalizer.ts";
export { parsePolicy } from "./policy.ts";
export { stemOf } from "./stem.ts";
export { hashText } from "./word-hash.ts";
