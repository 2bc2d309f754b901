import { hash } from "node:crypto";
import type { Bytes } from "./bytes.ts";

export function digest(algorithm: "sha256" | "sha384" | "sha512", data: Uint8Array): Bytes {
  return new Uint8Array(hash(algorithm, data, "buffer"));
}
