// Checkpoints and their cosignatures (C2SP tlog-checkpoint, C2SP tlog-cosignature).
import {
  ByteReader,
  type Bytes,
  ByteWriter,
  concatBytes,
  decodeBase64,
  encodeBase64,
  encodeUtf8,
} from "@sotto/base";
import { isEd25519, noteKeyType, type Signer, signEd25519, type Verifier } from "./key.ts";
import { LogError, strictly } from "./log-error.ts";
import type { Note, NoteSignature } from "./note.ts";

const maxOriginLength = 255;

/**
 * The text of a checkpoint note:
 * ```
 * example.com/log
 * 20852163
 * CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
 * ```
 * Lines after these are extensions: signed by the log, but nothing is said about them by witnesses.
 */
export type Checkpoint = {
  readonly origin: string;
  readonly size: number;
  readonly root: Bytes;
  readonly extensions?: readonly string[];
};

/** Writes a checkpoint's text, ready to be signed. */
export function serializeCheckpoint(checkpoint: Checkpoint): string {
  const { origin, size, root, extensions = [] } = checkpoint;
  return [origin, size, encodeBase64(root), ...extensions, ""].join("\n");
}

/** Reads a checkpoint's text; throws `LogError`. */
export function parseCheckpoint(text: string): Checkpoint {
  return strictly("checkpoint", () => {
    const lines = text.split("\n");
    const end = lines.pop();
    const [origin = "", size = "", root = "", ...extensions] = lines;
    if (lines.length < 3 || end !== "" || lines.includes("") || origin.length > maxOriginLength) {
      throw new LogError("malformed", "checkpoint: not three lines that say something");
    }
    const count = Number(size);
    if (!/^(0|[1-9]\d{0,14})$/.test(size) || !Number.isSafeInteger(count)) {
      throw new LogError("malformed", "checkpoint: size is not canonical decimal");
    }
    const hash = decodeBase64(root);
    if (hash.length !== 32) throw new LogError("malformed", "checkpoint: root is not a hash");
    return { origin, size: count, root: hash, ...(extensions.length > 0 ? { extensions } : {}) };
  });
}

/** `cosignature/v1\ntime <ts>\n` and the checkpoint (C2SP tlog-cosignature). */
function cosignedMessage(text: string, timestamp: number): Bytes {
  return encodeUtf8(`cosignature/v1\ntime ${timestamp}\n${text}`);
}

/** Signs a checkpoint's text as a witness; `timestamp` in seconds. */
export async function cosign(text: string, signer: Signer, timestamp: number): Promise<NoteSignature> {
  if (signer.type !== noteKeyType.cosignature)
    throw new LogError("malformed", "cosignature: key is of another type");
  const signature = await signEd25519(signer, cosignedMessage(text, timestamp));
  const stamp = new ByteWriter().u64(BigInt(timestamp)).finish();
  return { name: signer.name, id: signer.id, signature: concatBytes(stamp, signature) };
}

/** A witness and when it saw the tree; milliseconds. */
export type Cosignature = { readonly name: string; readonly timestampMs: number };

/** The newest valid cosignature of a witness on a note, or undefined when it did not sign. */
export async function verifyCosignature(note: Note, witness: Verifier): Promise<Cosignature | undefined> {
  let newest: Cosignature | undefined;
  for (const { name, id, signature } of note.signatures) {
    if (witness.type !== noteKeyType.cosignature || name !== witness.name || id !== witness.id) continue;
    if (signature.length !== 8 + 64) throw new LogError("malformed", "cosignature: wrong length");
    const reader = new ByteReader(signature);
    const timestamp = Number(reader.u64());
    const valid =
      Number.isSafeInteger(timestamp * 1000) &&
      (await isEd25519(witness, cosignedMessage(note.text, timestamp), reader.rest()));
    if (!valid) throw new LogError("bad-signature", "cosignature: signature of a known witness is wrong");
    const timestampMs = timestamp * 1000;
    if (newest === undefined || timestampMs > newest.timestampMs) newest = { name, timestampMs };
  }
  return newest;
}
