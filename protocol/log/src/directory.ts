// The directory: one signed document, the same bytes for every client, with everything a client must know.
import {
  decodeBase64,
  decodeUtf8,
  encodeUtf8,
  type JsonValue,
  parseCanonicalJson,
  serializeCanonicalJson,
} from "@sotto/base";
import { parseVerifier, type Signer } from "./key.ts";
import { LogError, strictly } from "./log-error.ts";
import { parseNote, serializeNote, signNote, verifyNote } from "./note.ts";

/** A statement in base64 and its proof as text. */
export type ProvedStatement = { readonly statement: string; readonly proof: string };

/** Times: Unix seconds. Binary members: base64. */
export type Directory = {
  readonly kind: "directory";
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly ohttp: ProvedStatement & { readonly configs: string };
  readonly issuer: ProvedStatement & {
    readonly name: string;
    readonly keys: readonly {
      readonly spki: string;
      readonly notBefore: number;
      readonly notAfter: number;
    }[];
  };
  readonly nodes: readonly { readonly handle: string; readonly role: "orchestrator" }[];
  readonly releases: readonly ProvedStatement[];
  readonly models: readonly { readonly id: string }[];
};

const maxDirectoryBytes = 256 * 1024;
const maxTextLength = 64 * 1024; // of a proof, or of the bytes of a statement
const maxFutureSeconds = 300;

/** Signs a directory: a note whose text is one line of canonical JSON (C2SP signed-note). */
export async function signDirectory(directory: Directory, signer: Signer): Promise<string> {
  const text = `${decodeUtf8(serializeCanonicalJson(directory))}\n`;
  parseDirectory(text);
  return serializeNote(await signNote(text, [signer]));
}

/**
 * Opens a directory: signature, form, validity. The proofs inside are for the caller to verify.
 *
 * Throws `LogError`: `malformed`, `bad-signature`, `expired`.
 */
export async function openDirectory(options: {
  readonly text: string;
  readonly directoryKey: string;
  readonly nowMs: number;
}): Promise<Directory> {
  const note = parseNote(options.text);
  const signers = await verifyNote(note, [parseVerifier(options.directoryKey)]);
  if (signers.length === 0) throw new LogError("bad-signature", "directory: not signed by the expected key");
  const directory = parseDirectory(note.text);
  const now = options.nowMs / 1000;
  if (now >= directory.expiresAt || now < directory.issuedAt - maxFutureSeconds) {
    throw new LogError("expired", "directory: not valid now");
  }
  return directory;
}

/** Reads a directory's line; throws `LogError`. */
export function parseDirectory(text: string): Directory {
  return strictly("directory", () => {
    if (!text.endsWith("\n")) throw new LogError("malformed", "directory: no newline at its end");
    const value = parseCanonicalJson(encodeUtf8(text.slice(0, -1)), maxDirectoryBytes);
    if (!isDirectory(value) || !isConsistent(value))
      throw new LogError("malformed", "directory: members do not fit");
    return value;
  });
}

type Guarded = (value: unknown) => boolean;

const isText: Guarded = (value) => typeof value === "string" && value.length <= maxTextLength;
const isBinary: Guarded = (value) =>
  typeof value === "string" && value.length <= maxTextLength * 2 && decodeBase64(value).length > 0;
const isTime: Guarded = (value) => typeof value === "number" && value >= 0;
const isHandle: Guarded = (value) => typeof value === "string" && /^[a-z0-9-]{1,63}$/.test(value);
const isModel: Guarded = (value) => typeof value === "string" && /^[\x21-\x7e]{1,128}$/.test(value);
const listOf =
  (check: Guarded, max: number): Guarded =>
  (value) =>
    Array.isArray(value) && value.length <= max && value.every(check);
const shaped =
  (shape: Readonly<Record<string, Guarded>>): Guarded =>
  (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    const members = new Map(Object.entries(value));
    return (
      members.size === Object.keys(shape).length &&
      Object.entries(shape).every(([name, check]) => check(members.get(name)))
    );
  };

const proved = { statement: isBinary, proof: isText };
const directoryShape = shaped({
  kind: (value) => value === "directory",
  issuedAt: isTime,
  expiresAt: isTime,
  ohttp: shaped({ ...proved, configs: isBinary }),
  issuer: shaped({
    ...proved,
    name: isText,
    keys: listOf(shaped({ spki: isBinary, notBefore: isTime, notAfter: isTime }), 8),
  }),
  nodes: listOf(shaped({ handle: isHandle, role: (value) => value === "orchestrator" }), 4096),
  releases: listOf(shaped(proved), 64),
  models: listOf(shaped({ id: isModel }), 64),
});

function isDirectory(value: JsonValue): value is Directory & JsonValue {
  return directoryShape(value);
}

/** Clients choose nodes evenly among what is listed, so nothing may stand there twice. */
function isConsistent({ issuedAt, expiresAt, issuer, nodes, models }: Directory): boolean {
  return (
    issuedAt < expiresAt &&
    issuer.keys.every(({ notBefore, notAfter }) => notBefore < notAfter) &&
    new Set(nodes.map(({ handle }) => handle)).size === nodes.length &&
    new Set(models.map(({ id }) => id)).size === models.length
  );
}
