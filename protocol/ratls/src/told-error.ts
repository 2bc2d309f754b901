// What a peer says went wrong, as the one code in an error frame (spec/attested-session.md).
import { type Bytes, CodedError, decodeUtf8, EncodingError } from "@sotto/base";
import { RatlsError, type RatlsErrorCode } from "./ratls-error.ts";

const told: readonly (readonly [code: RatlsErrorCode, message: string])[] = [
  ["busy", "peer is busy"],
  ["predictor-refused", "the orchestrator found no predictor that runs what was released"],
  ["guard-refused", "the orchestrator found no guard that runs what was released"],
  ["not-accepted", "peer does not accept this end's evidence"],
];

/** The code that peers are told of what kept this end from attesting. */
export function toldCode(error: unknown): string {
  const isTold = error instanceof CodedError && told.some(([code]) => code === error.code);
  return isTold ? error.code : "attest-failed";
}

/** What a peer said went wrong; a word that means nothing to this end is `peer-failed`. */
export function peerError(content: Bytes): RatlsError {
  const word = wordOf(content);
  const known = told.find(([code]) => code === word);
  return known === undefined
    ? new RatlsError("peer-failed", "peer could not serve the session")
    : new RatlsError(...known);
}

function wordOf(content: Bytes): string | undefined {
  try {
    return decodeUtf8(content);
  } catch (error) {
    if (error instanceof EncodingError) return undefined;
    throw error;
  }
}
