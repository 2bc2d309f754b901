// Statements in a log of one's own making, seen by one witness: what every stage with evidence on it needs.
import type { Bytes } from "@sotto/base";
import {
  cosign,
  HashTree,
  inclusionProof,
  leafHash,
  type Signer,
  serializeCheckpoint,
  serializeNote,
  serializeProof,
  signNote,
} from "@sotto/log";

/** Puts statements into a tree that holds nothing else, and returns the proof of each; `seenAt` in seconds. */
export async function proveStatements(
  statements: readonly Bytes[],
  { log, witness, seenAt }: { readonly log: Signer; readonly witness: Signer; readonly seenAt: number },
): Promise<Bytes[]> {
  const tree = new HashTree();
  for (const statement of statements) tree.append(leafHash(statement));
  const text = serializeCheckpoint({ origin: log.name, size: tree.size, root: tree.root() });
  const note = await signNote(text, [log]);
  const signatures = [...note.signatures, await cosign(text, witness, seenAt)];
  const checkpoint = serializeNote({ ...note, signatures });
  return statements.map((_, index) =>
    serializeProof({ index, path: inclusionProof(index, tree.size, tree.read), checkpoint }),
  );
}
