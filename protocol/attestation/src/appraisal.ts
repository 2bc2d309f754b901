// Collects checks in order: what failed, with its code; what could not be reached, as skipped.
import { CodedError } from "@sotto/base";
import { AttestationError, type AttestationErrorCode } from "./attestation-error.ts";
import type { Check } from "./verdict.ts";

/** Runs checks one after the other; the first failure is what the whole appraisal failed with. */
export class Appraisal {
  readonly checks: Check[] = [];
  readonly #prefix: string;
  failure: AttestationError | undefined;

  constructor(prefix = "") {
    this.#prefix = prefix;
  }

  /** Records a check; `work` returns words for the verdict, or throws what the check failed with. */
  async check<T>(
    id: string,
    source: string,
    work: () => Promise<{ detail: string; value: T }>,
  ): Promise<T | undefined> {
    try {
      const { detail, value } = await work();
      this.#add({ id, source, status: "pass", detail });
      return value;
    } catch (error) {
      this.fail(id, source, error);
      return undefined;
    }
  }

  /** Records a check that has nothing to hand on. */
  async confirm(id: string, source: string, work: () => string | Promise<string>): Promise<boolean> {
    const done = await this.check(id, source, async () => ({ detail: await work(), value: true }));
    return done === true;
  }

  /** Records a check that was not made, with the reason. */
  skip(id: string, source: string, detail: string): void {
    this.#add({ id, source, status: "skip", detail });
  }

  fail(id: string, source: string, error: unknown): void {
    const failure = asAttestationError(error);
    this.failure ??= failure;
    this.#add({ id, source, status: "fail", detail: failure.message, code: failure.code });
  }

  #add(check: Check): void {
    this.checks.push({ ...check, id: `${this.#prefix}${check.id}` });
  }
}

function asAttestationError(error: unknown): AttestationError {
  if (error instanceof AttestationError) return error;
  // Anything that is not a coded refusal is a bug, and must not pass for a verdict.
  if (!(error instanceof CodedError)) throw error;
  const code: AttestationErrorCode = "not-logged";
  return new AttestationError(code, `${error.message} (${error.code})`, { cause: error });
}
