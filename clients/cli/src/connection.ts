// Finds the stack that commands talk to: `--stack`, or the one that `npm start` runs in this clone.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { systemRandom } from "@sotto/base";
import {
  createPrivateFetch,
  openFileTokenStore,
  type PrivateFetch,
  parseClientSettings,
  SottoError,
} from "@sotto/sdk";
import { developmentPolicy } from "@sotto/sdk/development";

export type ConnectionOptions = { readonly stack?: string; readonly policy?: "development" | "production" };

const root = join(import.meta.dirname, "..", "..", "..");

/** The state folder of the stack in use. */
export function stackFolder(options: ConnectionOptions): string {
  if (options.stack !== undefined) return options.stack;
  try {
    return readFileSync(join(root, ".sotto", "current"), "utf8").trim();
  } catch (cause) {
    throw new SottoError("relay-unreachable", "no stack is running here", { cause });
  }
}

/** A private `fetch` for that stack, its tokens kept beside it. */
export function connect(options: ConnectionOptions): PrivateFetch {
  const folder = stackFolder(options);
  let text: string;
  try {
    text = readFileSync(join(folder, "client.json"), "utf8");
  } catch (cause) {
    throw new SottoError("relay-unreachable", "no stack is running here", { cause });
  }
  const settings = parseClientSettings(text);
  const policy = options.policy === "production" ? settings.productionPolicy : developmentPolicy(settings);
  return createPrivateFetch({
    relayUrl: settings.relay,
    issuerUrl: settings.issuer,
    account: settings.account,
    directoryKey: settings.directoryKey,
    policy,
    tokens: openFileTokenStore(join(folder, "wallet"), systemRandom),
    prepareAhead: false,
  });
}
