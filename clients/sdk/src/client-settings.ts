// The file that tells a client where a deployment is and what to hold it to.
import {
  productionPolicy,
  type TrustPolicy,
  type TrustSettings,
  trustSettingsSchema,
} from "@sotto/attestation";
import { z } from "zod";
import { SottoError } from "./sotto-error.ts";

const schema = z.strictObject({
  relay: z.url(),
  issuer: z.url(),
  account: z.strictObject({ secret: z.string().min(16).max(256) }),
  directoryKey: z.string().min(1).max(512),
  trust: trustSettingsSchema,
});

export type ClientSettings = Omit<z.infer<typeof schema>, "trust"> & {
  readonly trust: TrustSettings;
  readonly productionPolicy: TrustPolicy;
};

/** Reads client settings; throws `SottoError` with `bad-settings`. */
export function parseClientSettings(text: string): ClientSettings {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SottoError("bad-settings", "client settings: not json", { cause });
  }
  const checked = schema.safeParse(value);
  if (!checked.success) throw new SottoError("bad-settings", "client settings: do not fit their schema");
  return { ...checked.data, productionPolicy: productionPolicy(checked.data.trust) };
}
