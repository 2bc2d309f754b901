// What answers: a model file, a server that speaks the OpenAI API, or the model that only babbles.
import { createHash } from "node:crypto";
import { createReadStream, existsSync, statSync } from "node:fs";
import { basename, resolve } from "node:path";
import { writeBabbleModel } from "./babble.ts";
import { UsageError } from "./options.ts";
import type { StateFolder } from "./state-folder.ts";

export type Model = {
  readonly id: string;
  readonly babbles: boolean;
  /** Engine settings of the predictor's measured configuration. */
  readonly engine: object;
  /** The model's file, for the `weights` statement; a server's files are not here to be read. */
  readonly file?: { readonly path: string; readonly size: number; readonly digest: `sha256:${string}` };
};

/** Finds the model that `option` names; throws `UsageError` when there is none where the user said. */
export async function openModel(
  state: StateFolder,
  wanted: string | undefined,
  option = "--model",
): Promise<Model> {
  if (wanted !== undefined && /^https?:\/\//.test(wanted)) return openServer(wanted, option);
  const path = wanted === undefined ? state.file("data", "sotto-babble.gguf") : resolve(wanted);
  if (wanted === undefined && !existsSync(path)) writeBabbleModel(path);
  if (!existsSync(path) || !statSync(path).isFile()) throw new UsageError(`${option}: no such file`);
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 4 * 1024 * 1024 })) hash.update(chunk);
  const digest = `sha256:${hash.digest("hex")}` as const;
  const id = basename(path)
    .replace(/\.gguf$/, "")
    .replace(/[^\x21-\x7e]/g, "-");
  return {
    id,
    babbles: wanted === undefined,
    engine: { kind: "llama", path, name: id, digest, threads: 1 },
    file: { path, size: statSync(path).size, digest },
  };
}

async function openServer(url: string, option: string): Promise<Model> {
  const models = new URL("models", url.endsWith("/") ? url : `${url}/`);
  let list: { data?: { id?: unknown }[] };
  try {
    const response = await fetch(models, { signal: AbortSignal.timeout(5000) });
    list = await response.json();
  } catch {
    throw new UsageError(`${option}: no server with the OpenAI API answers there`);
  }
  const id = list.data?.[0]?.id;
  if (typeof id !== "string" || !/^[\x21-\x7e]{1,128}$/.test(id)) {
    throw new UsageError(`${option}: the server names no model`);
  }
  return { id, babbles: false, engine: { kind: "openai", url, model: id } };
}
