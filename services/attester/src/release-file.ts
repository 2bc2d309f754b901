// The release statement and its proof, as the host provides them: they prove themselves, so they need not be measured.
import { readFileSync, statSync } from "node:fs";
import { type Bytes, CodedError, decodeBase64, encodeUtf8 } from "@sotto/base";
import { parseStatement } from "@sotto/log";
import { z } from "zod";

export type LoggedRelease = { readonly statement: Bytes; readonly proof: Bytes };

/** The release file cannot be used. */
export class ReleaseFileError extends CodedError<"unreadable" | "not-a-release"> {}

const schema = z.strictObject({ statement: z.base64().max(128 * 1024), proof: z.string().max(64 * 1024) });

/**
 * Reads the file when it has changed, so that renewed proofs are used as they come. While it cannot be read,
 * for instance because it is being replaced, what was read before goes on being used.
 */
export function openReleaseFile(path: string): () => LoggedRelease {
  let stamp = "";
  let current: LoggedRelease | undefined;
  return () => {
    let failure: unknown;
    try {
      const { mtimeMs, size, ino } = statSync(path);
      const found = `${mtimeMs} ${size} ${ino}`;
      if (found !== stamp) {
        const { statement, proof } = schema.parse(JSON.parse(readFileSync(path, "utf8")));
        current = { statement: decodeBase64(statement), proof: encodeUtf8(proof) };
        stamp = found;
      }
    } catch (cause) {
      failure = cause;
    }
    if (current !== undefined) return current;
    throw new ReleaseFileError("unreadable", "release file: unreadable", { cause: failure });
  };
}

/** The digest of the code that a release is about; throws `ReleaseFileError` when it is about none. */
export function releasedCode({ statement }: LoggedRelease): string {
  try {
    const parsed = parseStatement(statement);
    if (parsed.kind === "release") return parsed.code;
  } catch (cause) {
    throw new ReleaseFileError("not-a-release", "release file: statement is unreadable", { cause });
  }
  throw new ReleaseFileError("not-a-release", "release file: statement is no release");
}
