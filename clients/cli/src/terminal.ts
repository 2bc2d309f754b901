// What the terminal shows, and how a command ends.
// Rules: answers on standard output; notes on standard error, lowercase, prefixed `sotto: `, no full stop;
// colour only on a terminal and never the only carrier of a meaning.
import { styleText } from "node:util";
import { type Advice, SottoError } from "@sotto/sdk";

export const exitCodes = { ok: 0, failure: 1, usage: 2, refused: 10, unavailable: 69, noTokens: 77 } as const;

const exitOf = {
  fix: exitCodes.usage,
  retry: exitCodes.unavailable,
  pay: exitCodes.noTokens,
  stop: exitCodes.refused,
} as const satisfies Record<Advice, number>;

const hintOf = {
  fix: "",
  retry: "try again in a moment; `npm start` runs a stack on this machine",
  pay: "the account has no tokens left for today",
  stop: "nothing was sent; `sotto verify` shows every check",
} as const satisfies Record<Advice, string>;

/** Prints one note on standard error. */
export function note(text: string): void {
  process.stderr.write(`sotto: ${text}\n`);
}

/** A word in the colour of its meaning. */
export function paint(word: string, meaning: "good" | "warn" | "bad" | "quiet"): string {
  const colour = { good: "green", warn: "yellow", bad: "red", quiet: "dim" } as const;
  return styleText(colour[meaning], word, { stream: process.stdout });
}

/** Prints what went wrong and returns the exit code. */
export function reportFailure(error: unknown): number {
  if (error instanceof SottoError) {
    note(`${error.message} (${causeCode(error)})`);
    const hint = hintOf[error.advice];
    if (hint !== "") note(hint);
    return exitOf[error.advice];
  }
  note(error instanceof Error ? error.message : "unexpected failure");
  return exitCodes.failure;
}

function causeCode(error: SottoError): string {
  const { cause } = error;
  return cause instanceof Error && "code" in cause ? `${error.code}: ${String(cause.code)}` : error.code;
}
