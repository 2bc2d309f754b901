// Whole answers of other parties, none of which decides how much memory a client spends on it.
import { type Bytes, readBody } from "@sotto/base";
import { SottoError } from "./sotto-error.ts";

/** Reads a body; undefined when it is over its limit. Throws `SottoError` when it breaks off. */
export async function readAnswer(response: Response, maxBytes: number): Promise<Bytes | undefined> {
  try {
    return await readBody(response, maxBytes);
  } catch (cause) {
    throw new SottoError("session-lost", "answer broke off", { cause });
  }
}
