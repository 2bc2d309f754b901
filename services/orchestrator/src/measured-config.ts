// The orchestrator's measured configuration: the same for the process that accepts sessions and those that serve them.
import { trustSettingsSchema } from "@sotto/attestation";
import { z } from "zod";

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);

/** What an orchestrator is measured with; digests are of files that it reads, and refuses where they differ. */
export const measuredConfigSchema = z.strictObject({
  role: z.literal("orchestrator"),
  trust: trustSettingsSchema,
  sealed: digest,
  guard: z.strictObject({
    policy: digest,
    classifier: digest,
    /** Whether a guard model is asked too, and how long it may take for a question before that counts as refused. */
    model: z.strictObject({ timeoutMs: z.number().int().min(100).max(60_000) }).optional(),
  }),
  /** Processes kept ready at least, and living at most. */
  minimumReady: z.number().int().min(1).max(64),
  maximumProcesses: z.number().int().min(1).max(4096),
  /** Whether questions are taken at all. */
  inference: z.enum(["on", "off"]),
});

export type MeasuredConfig = z.infer<typeof measuredConfigSchema>;
