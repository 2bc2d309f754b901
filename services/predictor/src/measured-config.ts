// The predictor's measured configuration: the same for the process that accepts sessions and those that serve them.
import { trustSettingsSchema } from "@sotto/attestation";
import { z } from "zod";

// Who holds text has no network: a model server runs in the same machine, or the predictor does not start.
const loopback = /^(127(\.\d{1,3}){3}|localhost|\[::1\])$/;
const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);

const engine = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("llama"),
    path: z.string().min(1),
    name: z.string().min(1),
    digest,
    threads: z.number().int().min(1).max(256),
  }),
  z.strictObject({
    kind: z.literal("openai"),
    url: z.url({ protocol: /^http$/, hostname: loopback }).refine((url) => new URL(url).username === ""),
    model: z.string().min(1).max(256),
  }),
]);

/** What a predictor is measured with; a guard is a predictor of another role, whose model judges. */
export const measuredConfigSchema = z.strictObject({
  role: z.enum(["predictor", "guard"]),
  /** What orchestrators are held to, which are all that it serves. */
  trust: trustSettingsSchema,
  engine,
  sealed: digest,
  /** Processes kept ready at least, and living at most. */
  minimumReady: z.number().int().min(1).max(64),
  maximumProcesses: z.number().int().min(1).max(4096),
  /** Answers made at once; the others wait for their turn. */
  parallelAnswers: z.number().int().min(1).max(1024),
  /** Memory that a process may write to; the model's file is read only and does not count. */
  memoryMib: z
    .number()
    .int()
    .min(256)
    .max(1024 * 1024),
  /** Whether questions are taken at all. */
  inference: z.enum(["on", "off"]),
});

export type MeasuredConfig = z.infer<typeof measuredConfigSchema>;
export type EngineSettings = MeasuredConfig["engine"];
