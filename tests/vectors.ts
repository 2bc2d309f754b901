// Outside vectors: read from beside the project, never copied into it.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.env.SOTTO_VECTORS ?? join(import.meta.dirname, "..", "..", "shared", "vectors");

/** Reason to skip a test that needs vectors, or false. */
export const vectorsMissing: string | false = existsSync(folder) ? false : "vectors not present";

/** Absolute path of a vector. */
export function vectorPath(...parts: string[]): string {
  return join(folder, ...parts);
}

export function readVector(...parts: string[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(vectorPath(...parts)));
}

export function readJsonVector<T>(...parts: string[]): T {
  return JSON.parse(readFileSync(vectorPath(...parts), "utf8"));
}
