// Trust as a configuration file holds it. Apart from what is made of it: a process that is given settings which have
// been checked already does without the library that checks them. Its small form, since pages load it, and since it
// never compiles a schema, which pages may forbid.
import * as z from "zod/mini";
import { defaultGenerations } from "./platform-policy.ts";

const integer = (minimum: number, maximum = Number.MAX_SAFE_INTEGER) =>
  z.int().check(z.minimum(minimum), z.maximum(maximum));
const chipIds = z.array(z.string().check(z.regex(/^[0-9a-f]{128}$/)));
const level = integer(0, 255);
const tcb = z.partial(
  z.strictObject({ fmc: level, bootLoader: level, tee: level, snp: level, microcode: level }),
);
const generations = z.array(z.enum(["milan", "genoa", "turin"])).check(z.minLength(1));

/** Trust as a configuration file holds it; `simulatedRoot` is ignored by production. */
export const trustSettingsSchema = z.strictObject({
  platform: z.strictObject({
    generations: z._default(generations, () => [...defaultGenerations]),
    minimumTcb: z.partial(z.strictObject({ milan: tcb, genoa: tcb, turin: tcb })),
    vmpl: integer(0, 3),
    allowVlek: z.boolean(),
    allowSmt: z.boolean(),
    requireAliasCheck: z.boolean(),
    chips: z.optional(chipIds),
    refusedChips: z.optional(chipIds),
    requiredMitigations: z.optional(integer(0)),
  }),
  log: z.string().check(z.minLength(1), z.maxLength(32 * 1024)),
  maxProofAgeMs: integer(1),
  minimumSecurityVersion: integer(0),
  allowClassical: z.optional(z.boolean()),
  simulatedRoot: z.optional(z.base64().check(z.maxLength(16 * 1024))),
});

export type TrustSettings = z.infer<typeof trustSettingsSchema>;
