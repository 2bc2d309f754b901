// `npm run train:guard`: trains the guard's classifier from the examples and writes it beside the library.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { classifierUrl, policyUrl } from "@sotto/guard";
import { parsePolicy, serializeClassifier } from "@sotto/guard/training";
import { folders, plainOf, readExamples } from "./examples.ts";
import { trainClassifier } from "./training.ts";

const help = `Trains the guard's classifier from tools/guard/examples. The same examples give the same file.

  npm run train:guard

  --out <file>  where to write it (default protocol/guard/classifier/classifier.bin)
  --help        this text
`;

const { values } = parseArgs({
  options: { out: { type: "string" }, help: { type: "boolean", default: false } },
});
if (values.help) {
  process.stdout.write(help);
  process.exit(0);
}
const started = performance.now();
// A short line may have been thought of twice; what measures the result must not have been seen.
const heldOut = new Set(readExamples(folders.heldOut).map(({ text }) => plainOf(text)));
const readUnseen = (folder: string) => readExamples(folder).filter(({ text }) => !heldOut.has(plainOf(text)));
const classifier = trainClassifier({
  questions: readUnseen(folders.questions),
  answers: existsSync(folders.answers) ? readUnseen(folders.answers) : [],
  words: parsePolicy(readFileSync(policyUrl)).words,
  report: (line) => console.error(line),
});
const bytes = serializeClassifier(classifier);
writeFileSync(values.out ?? classifierUrl, bytes);
console.error(`${bytes.length} bytes in ${((performance.now() - started) / 1000).toFixed(1)} s`);
