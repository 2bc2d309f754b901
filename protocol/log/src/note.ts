// Signed notes (C2SP signed-note): text, an empty line, signature lines.
import { type Bytes, concatBytes, decodeBase64, encodeBase64, encodeUtf8 } from "@sotto/base";
import { isEd25519, isKeyName, noteKeyType, type Signer, signEd25519, type Verifier } from "./key.ts";
import { LogError, strictly } from "./log-error.ts";

/** `— <name> base64(key id || signature)` */
export type NoteSignature = { readonly name: string; readonly id: number; readonly signature: Bytes };

/** A note as read: its text ends with a newline; no signature has been checked. */
export type Note = { readonly text: string; readonly signatures: readonly NoteSignature[] };

const maxSignatures = 64;
const maxNoteLength = 512 * 1024;

/** Reads a note; throws `LogError`. The signatures follow the last empty line. */
export function parseNote(input: string): Note {
  return strictly("note", () => {
    if (input.length > maxNoteLength) throw new LogError("too-large", "note: over its limit");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
    if (/[\u0000-\u0009\u000b-\u001f]/.test(input) || !input.isWellFormed()) {
      throw new LogError("malformed", "note: control character");
    }
    const split = input.lastIndexOf("\n\n");
    if (split < 0 || !input.endsWith("\n")) throw new LogError("malformed", "note: no signature part");
    const lines = input.slice(split + 2, -1).split("\n");
    if (lines.length > maxSignatures) throw new LogError("too-large", "note: too many signatures");
    return { text: input.slice(0, split + 1), signatures: lines.map(parseSignatureLine) };
  });
}

/** Reads one signature line; throws `LogError`. */
export function parseSignatureLine(line: string): NoteSignature {
  const [, name = "", encoded = ""] = /^\u2014 ([^ ]+) ([A-Za-z0-9+/]+={0,2})$/.exec(line) ?? [];
  if (!isKeyName(name)) throw new LogError("malformed", "note: signature line not in its form");
  const bytes = strictly("note", () => decodeBase64(encoded));
  if (bytes.length < 5) throw new LogError("malformed", "note: signature too short");
  return { name, id: new DataView(bytes.buffer).getUint32(0), signature: bytes.slice(4) };
}

export function serializeSignatureLine({ name, id, signature }: NoteSignature): string {
  const prefix = new Uint8Array(4);
  new DataView(prefix.buffer).setUint32(0, id);
  return `\u2014 ${name} ${encodeBase64(concatBytes(prefix, signature))}\n`;
}

export function serializeNote(note: Note): string {
  return `${note.text}\n${note.signatures.map(serializeSignatureLine).join("")}`;
}

/** Signs a text that ends with a newline, with an Ed25519 key. */
export async function signNote(text: string, signers: readonly Signer[]): Promise<Note> {
  if (!text.endsWith("\n")) throw new LogError("malformed", "note: text does not end with a newline");
  const signatures: NoteSignature[] = [];
  for (const signer of signers) {
    if (signer.type !== noteKeyType.ed25519) throw new LogError("malformed", "note: key is for cosignatures");
    signatures.push({
      name: signer.name,
      id: signer.id,
      signature: await signEd25519(signer, encodeUtf8(text)),
    });
  }
  return { text, signatures };
}

/**
 * The distinct keys among `verifiers` that signed a note; other signatures are passed over.
 *
 * A signature that claims a known key and is wrong throws `bad-signature`: nobody honest makes one.
 */
export async function verifyNote(note: Note, verifiers: readonly Verifier[]): Promise<Verifier[]> {
  const found = new Map<Verifier, boolean>();
  for (const { name, id, signature } of note.signatures) {
    const verifier = verifiers.find(
      (candidate) => candidate.type === noteKeyType.ed25519 && candidate.name === name && candidate.id === id,
    );
    if (verifier === undefined) continue;
    if (!(await isEd25519(verifier, encodeUtf8(note.text), signature))) {
      throw new LogError("bad-signature", "note: signature of a known key is wrong");
    }
    found.set(verifier, true);
  }
  return [...found.keys()];
}
