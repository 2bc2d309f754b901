// Trust as a configuration file holds it. Apart from what is made of it: a process that is given settings which have
// been checked already does without the library that checks them.
import { z } from "zod";
import { defaultGenerations } from "./platform-policy.ts";

const chipIds = z.array(z.string().regex(/^[0-9a-f]{128}$/));
const level = z.number().int().min(0).max(255);
const tcb = z
  .strictObject({ fmc: level, bootLoader: level, tee: level, snp: level, microcode: level })
  .partial();

/** Trust as a configuration file holds it; `simulatedRoot` is ignored by production. */
export const trustSettingsSchema = z.strictObject({
  platform: z.strictObject({
    generations: z
      .array(z.enum(["milan", "genoa", "turin"]))
      .min(1)
      .default([...defaultGenerations]),
    minimumTcb: z.strictObject({ milan: tcb, genoa: tcb, turin: tcb }).partial(),
    vmpl: z.number().int().min(0).max(3),
    allowVlek: z.boolean(),
    allowSmt: z.boolean(),
    requireAliasCheck: z.boolean(),
    chips: chipIds.optional(),
    refusedChips: chipIds.optional(),
    requiredMitigations: z.number().int().min(0).optional(),
  }),
  log: z
    .string()
    .min(1)
    .max(32 * 1024),
  maxProofAgeMs: z.number().int().min(1),
  minimumSecurityVersion: z.number().int().min(0),
  simulatedRoot: z
    .base64()
    .max(16 * 1024)
    .optional(),
});

export type TrustSettings = z.infer<typeof trustSettingsSchema>;
