// Tokens in a folder, one file each: claiming one is a rename, which only one process can win.
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { decodeHex, encodeHex, type Random } from "@sotto/base";
import type { StoredToken, TokenStore } from "./token-store.ts";

const namePattern = /^([0-9a-f]{64})-[0-9a-f]{32}\.token$/;

/** Opens a folder of tokens that several processes may share; files are readable by their owner alone. */
export function openFileTokenStore(folder: string, random: Random): TokenStore {
  const names = async (): Promise<{ name: string; keyId: string }[]> => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const found: { name: string; keyId: string }[] = [];
    for (const name of await readdir(folder)) {
      const keyId = namePattern.exec(name)?.[1];
      if (keyId !== undefined) found.push({ name, keyId });
    }
    return found;
  };
  return {
    async put(tokens) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      for (const { token, keyId } of tokens) {
        const path = join(folder, `${keyId}-${encodeHex(random(16))}`);
        await writeFile(`${path}.partial`, encodeHex(token), { mode: 0o600 });
        await rename(`${path}.partial`, `${path}.token`);
      }
    },
    async take(keyIds): Promise<StoredToken | undefined> {
      for (const { name, keyId } of await names()) {
        const path = join(folder, name);
        if (!keyIds.has(keyId)) {
          await rm(path, { force: true });
          continue;
        }
        const claimed = `${path}.${encodeHex(random(8))}.claimed`;
        try {
          await rename(path, claimed);
        } catch {
          continue; // another process was faster
        }
        const token = decodeHex(await readFile(claimed, "utf8"));
        await rm(claimed, { force: true });
        return { token, keyId };
      }
      return undefined;
    },
    async count() {
      return (await names()).length;
    },
  };
}
