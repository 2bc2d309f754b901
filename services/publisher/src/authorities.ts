// Who may put what into the log: for each kind of statement, so many of these keys.
import { type Bytes, encodeUtf8 } from "@sotto/base";
import {
  type Directory,
  LogError,
  parseDirectory,
  parseNote,
  parseStatement,
  type Statement,
  type Verifier,
  verifyNote,
} from "@sotto/log";

export type Authorities = Readonly<
  Record<string, { readonly keys: readonly Verifier[]; readonly threshold: number } | undefined>
>;

// Who releases also logs the policies that a release names: neither of the two says anything without the other.
const authorityOf: Readonly<Record<Statement["kind"], string>> = {
  release: "release",
  policy: "release",
  weights: "weights",
  keys: "keys",
};

/** The entry in a submission that enough authorities signed; throws `LogError`. */
export async function admitStatement(submission: string, authorities: Authorities): Promise<Bytes> {
  const note = parseNote(submission);
  const entry = encodeUtf8(note.text.slice(0, -1));
  const { kind } = parseStatement(entry);
  const allowed = authorities[authorityOf[kind]];
  const signers = allowed === undefined ? [] : await verifyNote(note, allowed.keys);
  if (allowed === undefined || signers.length < allowed.threshold) {
    throw new LogError("bad-signature", "submission: not signed by enough authorities");
  }
  return entry;
}

/** A directory that is signed by its authority; throws `LogError`. */
export async function admitDirectory(text: string, authorities: Authorities): Promise<Directory> {
  const allowed = authorities.directory;
  const note = parseNote(text);
  const signers = allowed === undefined ? [] : await verifyNote(note, allowed.keys);
  if (allowed === undefined || signers.length < allowed.threshold) {
    throw new LogError("bad-signature", "directory: not signed by enough authorities");
  }
  return parseDirectory(note.text);
}
