// The examples: one request a line, in files named for their hazard and for whether it must be refused.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type HazardId, hazardIds } from "@sotto/guard";

export type Example = {
  readonly text: string;
  readonly file: string;
  readonly isHarmful: boolean;
  readonly hazard: HazardId | undefined; // none for harmless text of no particular hazard
};

const root = join(import.meta.dirname, "..", "examples");
const name = /^([a-z-]+)(?:\.[a-z0-9-]+)*\.(harmful|harmless)\.txt$/;

/** Folders of examples: training text, answers, and text that no training may see. */
export const folders = {
  questions: root,
  answers: join(root, "answers"),
  heldOut: join(root, "held-out"),
} as const;

/** The examples of one folder, in the order of their files; every text once. */
export function readExamples(folder: string): Example[] {
  const examples: Example[] = [];
  const seen = new Set<string>();
  for (const file of readdirSync(folder).sort()) {
    const [, subject = "", kind] = name.exec(file) ?? [];
    if (kind === undefined) continue;
    const hazard = hazardIds.find((id) => id === subject);
    if (kind === "harmful" && hazard === undefined && folder !== folders.answers) {
      throw new Error(`${file}: its name begins with no hazard`);
    }
    for (const line of readFileSync(join(folder, file), "utf8").split("\n")) {
      const text = line.trim();
      if (text === "" || text.startsWith("#") || seen.has(text.toLowerCase())) continue;
      seen.add(text.toLowerCase());
      examples.push({ text, file, isHarmful: kind === "harmful", hazard });
    }
  }
  return examples;
}

/** A text without case and punctuation: what makes two examples the same. */
export function plainOf(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();
}
