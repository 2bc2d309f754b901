// The file that tells a client where a deployment is and what to hold it to.
import {
  productionPolicy,
  type TrustPolicy,
  type TrustSettings,
  trustSettingsSchema,
} from "@sotto/attestation";
import { CodedError, type Fields, readFields } from "@sotto/base";
import { SottoError } from "./sotto-error.ts";

export type ClientSettings = {
  readonly relay: string;
  readonly issuer: string;
  readonly account: { readonly secret: string };
  readonly directoryKey: string;
  readonly trust: TrustSettings;
  readonly productionPolicy: TrustPolicy;
};

const members: ReadonlySet<string> = new Set(["relay", "issuer", "account", "directoryKey", "trust"]);
const maxUrlLength = 2048;

/** Reads client settings; throws `SottoError` with `bad-settings`. */
export function parseClientSettings(text: string): ClientSettings {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SottoError("bad-settings", "client settings: not json", { cause });
  }
  const fields = readFields(value, misfit);
  const account = fields.inner("account");
  requireOnly(fields, members);
  if (account !== undefined) requireOnly(account, new Set(["secret"]));
  const trust = trustSettingsSchema.safeParse(fields.values.trust);
  if (!trust.success) throw misfit();
  return {
    relay: serviceUrl(fields, "relay"),
    issuer: serviceUrl(fields, "issuer"),
    account: { secret: required(account?.text("secret", 16, 256)) },
    directoryKey: required(fields.text("directoryKey", 1, 512)),
    trust: trust.data,
    productionPolicy: policyOf(trust.data),
  };
}

function policyOf(trust: TrustSettings): TrustPolicy {
  try {
    return productionPolicy(trust);
  } catch (cause) {
    if (!(cause instanceof CodedError)) throw cause;
    throw new SottoError("bad-settings", "client settings: trust nobody can be held to", { cause });
  }
}

function requireOnly(fields: Fields, names: ReadonlySet<string>): void {
  if (Object.keys(fields.values).some((name) => !names.has(name))) throw misfit();
}

function serviceUrl(fields: Fields, name: string): string {
  const text = required(fields.text(name, 1, maxUrlLength));
  if (!/^https?:/i.test(text) || !URL.canParse(text)) throw misfit();
  return text;
}

function required<Value>(value: Value | undefined): Value {
  if (value === undefined) throw misfit();
  return value;
}

function misfit(): SottoError {
  return new SottoError("bad-settings", "client settings: do not fit their schema");
}
