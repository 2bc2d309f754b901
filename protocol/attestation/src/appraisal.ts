// Collects the checks of one node. Whatever was not reached stands as skipped, in its place.
import { AttestationError } from "./attestation-error.ts";
import { type Check, type CheckId, checkIds } from "./verdict.ts";

const sources: Readonly<Record<CheckId, string>> = {
  "evidence.format": "SNP ABI 1.58 Table 23",
  "snp.chain": "AMD 57230",
  "snp.signature": "SNP ABI 1.58 Table 140",
  "snp.tcb": "AMD 57230",
  "snp.chip": "AMD 57230",
  "snp.policy": "SNP ABI 1.58 Table 9",
  "snp.vmpl": "SNP ABI 1.58 Table 23",
  "snp.platform": "SNP ABI 1.58 Table 24",
  "snp.generation": "SNP ABI 1.58 Table 23",
  "snp.tcb-floor": "SNP ABI 1.58 Table 3",
  "binding.report-data": "spec/attested-session.md",
  "release.logged": "C2SP tlog-proof",
  "release.role": "spec/transparency.md",
  "release.expiry": "spec/transparency.md",
  "release.security-version": "spec/transparency.md",
  "release.measurement": "spec/transparency.md",
  "sandbox.layers": "spec/attested-session.md",
  "gpu.evidence": "spec/attested-session.md",
};
const notReached = "not checked, because an earlier check failed";

/** Runs checks and remembers how each went. */
export class Appraisal {
  readonly #checks = new Map<CheckId, Omit<Check, "id" | "source">>();
  readonly #failures = new Map<CheckId, AttestationError>();

  /** Makes a check; `work` returns words for the verdict and a value, or throws the `AttestationError` it failed with. */
  async check<T>(
    id: CheckId,
    work: () => { detail: string; value: T } | Promise<{ detail: string; value: T }>,
  ): Promise<T | undefined> {
    try {
      const { detail, value } = await work();
      this.#checks.set(id, { status: "pass", detail });
      return value;
    } catch (error) {
      // Anything that is not a refusal is a bug, and must not pass for a verdict.
      if (!(error instanceof AttestationError)) throw error;
      this.#failures.set(id, error);
      this.#checks.set(id, { status: "fail", detail: error.message, code: error.code });
      return undefined;
    }
  }

  /** Makes a check that has nothing to hand on. */
  async confirm(id: CheckId, work: () => string | Promise<string>): Promise<boolean> {
    return (await this.check(id, async () => ({ detail: await work(), value: true }))) === true;
  }

  /** Records a check that was not made, with the reason. */
  skip(id: CheckId, detail: string): void {
    this.#checks.set(id, { status: "skip", detail });
  }

  /** Every check, in order. */
  get checks(): readonly Check[] {
    return checkIds.map((id) => ({
      id,
      source: sources[id],
      ...(this.#checks.get(id) ?? { status: "skip", detail: notReached }),
    }));
  }

  /** What the first failed check, in order, failed with. */
  get failure(): AttestationError | undefined {
    return checkIds.map((id) => this.#failures.get(id)).find((error) => error !== undefined);
  }
}
