import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import type { Bytes } from "./bytes.ts";

const algorithms = { sha256, sha384, sha512 };

export function digest(algorithm: "sha256" | "sha384" | "sha512", data: Uint8Array): Bytes {
  return new Uint8Array(algorithms[algorithm](data));
}
