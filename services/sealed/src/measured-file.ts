// A file that the measured configuration names by digest: read whole, and only as it was measured.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { type Bytes, CodedError } from "@sotto/base";

/** A file is not there, or not the one that was measured. */
export class MeasuredFileError extends CodedError<"unreadable" | "not-as-measured"> {}

/** Reads a file whose content has the digest `sha256:<hex>`; throws `MeasuredFileError`. */
export function readMeasuredFile(path: string, digest: string): Bytes {
  let content: Bytes;
  try {
    content = new Uint8Array(readFileSync(path));
  } catch (cause) {
    throw new MeasuredFileError("unreadable", "measured file: cannot be read", { cause });
  }
  if (`sha256:${createHash("sha256").update(content).digest("hex")}` !== digest) {
    throw new MeasuredFileError("not-as-measured", "measured file: not the one that was measured");
  }
  return content;
}
