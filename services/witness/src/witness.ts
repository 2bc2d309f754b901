// Cosigns a log's checkpoint when it continues the last one it has seen (C2SP tlog-witness).
import {
  type Bytes,
  type Clock,
  CodedError,
  decodeBase64,
  encodeBase64,
  encodeHex,
  encodeUtf8,
  equalBytes,
  sha256,
} from "@sotto/base";
import {
  type Checkpoint,
  cosign,
  HashTree,
  LogError,
  type Note,
  parseCheckpoint,
  parseNote,
  type Signer,
  serializeNote,
  serializeSignatureLine,
  type Verifier,
  verifyConsistency,
  verifyNote,
} from "@sotto/log";
import type { CheckpointStore } from "./checkpoint-store.ts";

export type WitnessDependencies = {
  readonly signer: Signer;
  readonly logs: readonly Verifier[];
  readonly store: CheckpointStore;
  readonly clock: Clock;
};

const maxRequestLength = 64 * 1024;
const maxProofLines = 63;
const emptyRoot = new HashTree().root();

type AddRequest = { readonly oldSize: number; readonly proof: readonly Bytes[]; readonly checkpoint: string };

/** Wires the witness: `POST /add-checkpoint`, and `GET /<sha256 of the origin>/checkpoint` for monitors. */
export function createWitness(dependencies: WitnessDependencies): (request: Request) => Promise<Response> {
  // One request at a time and log: reading, comparing and writing must not interleave.
  const queues = new Map<string, Promise<unknown>>();
  return async (request) => {
    const { pathname } = new URL(request.url);
    if (request.method === "GET") return monitor(dependencies, pathname);
    if (pathname !== "/add-checkpoint") return text(404, "not found");
    if (request.method !== "POST") return text(405, "method not allowed");
    const body = await request.text();
    let parsed: AddRequest;
    let note: Note;
    let checkpoint: Checkpoint;
    try {
      parsed = parseAddRequest(body);
      note = parseNote(parsed.checkpoint);
      checkpoint = parseCheckpoint(note.text);
    } catch (error) {
      if (error instanceof CodedError) return text(400, "malformed request");
      throw error;
    }
    const log = dependencies.logs.find(({ name }) => name === checkpoint.origin);
    if (log === undefined) return text(404, "unknown log");
    if (!(await isSignedBy(note, log))) return text(403, "checkpoint is not signed by its log");
    const turn = (queues.get(log.name) ?? Promise.resolve()).then(() =>
      add(dependencies, parsed, note, checkpoint),
    );
    queues.set(
      log.name,
      turn.catch(() => {}),
    );
    return turn;
  };
}

async function add(
  dependencies: WitnessDependencies,
  request: AddRequest,
  note: Note,
  checkpoint: Checkpoint,
): Promise<Response> {
  const { store, signer, clock } = dependencies;
  if (request.oldSize > checkpoint.size) return text(400, "old size is beyond the checkpoint");
  const known = store.get(checkpoint.origin);
  const knownSize = known?.size ?? 0;
  if (request.oldSize !== knownSize) return conflict(knownSize);
  if (checkpoint.size === 0 && !equalBytes(checkpoint.root, emptyRoot)) return text(422, "not an empty tree");
  const root = encodeBase64(checkpoint.root);
  if (known !== undefined && known.size === checkpoint.size) {
    // The same size with another root is a fork, whatever else comes with it.
    if (known.root !== root || request.proof.length > 0) return text(422, "not consistent");
  } else if (known === undefined || known.size === 0) {
    if (request.proof.length > 0) return text(422, "not consistent");
  } else {
    try {
      const oldRoot = decodeBase64(known.root);
      const { size: newSize, root: newRoot } = checkpoint;
      verifyConsistency({ oldSize: known.size, newSize, oldRoot, newRoot, proof: request.proof });
    } catch (error) {
      if (error instanceof LogError) return text(422, "not consistent");
      throw error;
    }
  }
  const signature = await cosign(note.text, signer, Math.floor(clock() / 1000));
  const signed = serializeNote({ text: note.text, signatures: [...note.signatures, signature] });
  const next = { size: checkpoint.size, root, note: signed };
  // Written before it is said: a witness that forgets what it signed could sign a fork.
  if (!store.replace(checkpoint.origin, knownSize, next))
    return conflict(store.get(checkpoint.origin)?.size ?? 0);
  return text(200, serializeSignatureLine(signature));
}

async function isSignedBy(note: Note, log: Verifier): Promise<boolean> {
  try {
    return (await verifyNote(note, [log])).length === 1;
  } catch (error) {
    if (error instanceof LogError) return false;
    throw error;
  }
}

/** `old <size>\n`, proof lines, an empty line, the checkpoint. Throws `LogError` or `EncodingError`. */
function parseAddRequest(body: string): AddRequest {
  const split = body.indexOf("\n\n");
  const [first = "", ...lines] = split < 0 ? [] : body.slice(0, split).split("\n");
  const size = /^old (0|[1-9]\d{0,14})$/.exec(first)?.[1];
  if (size === undefined || lines.length > maxProofLines || body.length > maxRequestLength) {
    throw new LogError("malformed", "add-checkpoint: not in its form");
  }
  const proof = lines.map((line) => decodeBase64(line));
  if (proof.some((hash) => hash.length !== 32)) throw new LogError("malformed", "add-checkpoint: not a hash");
  return { oldSize: Number(size), proof, checkpoint: body.slice(split + 2) };
}

function monitor(dependencies: WitnessDependencies, pathname: string): Response {
  const [, wanted] = /^\/([0-9a-f]{64})\/checkpoint$/.exec(pathname) ?? [];
  for (const { name } of dependencies.logs) {
    if (encodeHex(sha256(encodeUtf8(name))) !== wanted) continue;
    const stored = dependencies.store.get(name);
    if (stored !== undefined) return text(200, stored.note);
  }
  return text(404, "not found");
}

function conflict(size: number): Response {
  return new Response(`${size}\n`, { status: 409, headers: { "content-type": "text/x.tlog.size" } });
}

function text(status: number, body: string): Response {
  return new Response(body.endsWith("\n") ? body : `${body}\n`, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8" },
  });
}
