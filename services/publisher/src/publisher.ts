// The log over HTTP (C2SP tlog-tiles), and the directory beside it.
import { type Bytes, decodeUtf8, encodeHex, encodeUtf8, sha256 } from "@sotto/base";
import { problem } from "@sotto/kit";
import { LogError, parseDirectory, parseNote, parseTilePath } from "@sotto/log";
import { type Authorities, admitDirectory, admitStatement } from "./authorities.ts";
import type { LogStore } from "./file-store.ts";
import type { Sequencer } from "./sequencer.ts";

export type PublisherDependencies = {
  readonly sequencer: Sequencer;
  readonly store: LogStore;
  readonly authorities: Authorities;
};

const directoryFile = "directory";
const immutable = "public, max-age=31536000, immutable";

/** Wires the publisher: reading for everybody, `POST /add` and `PUT /directory` for authorities. */
export function createPublisher(
  dependencies: PublisherDependencies,
): (request: Request) => Promise<Response> {
  return async (request) => {
    const { pathname } = new URL(request.url);
    const path = pathname.slice(1);
    try {
      switch (request.method) {
        case "GET":
          return read(dependencies, path, request);
        case "POST":
          return path === "add" ? await add(dependencies, await request.text()) : problem(404, "not-found");
        case "PUT":
          return path === "directory"
            ? await replace(dependencies, await request.text())
            : problem(404, "not-found");
        default:
          return problem(405, "method-not-allowed");
      }
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      return error.code === "bad-signature" ? problem(403, "not-authorised") : problem(400, error.code);
    }
  };
}

async function add(dependencies: PublisherDependencies, submission: string): Promise<Response> {
  const entry = await admitStatement(submission, dependencies.authorities);
  const index = await dependencies.sequencer.add(entry);
  return Response.json({ index });
}

async function replace(dependencies: PublisherDependencies, text: string): Promise<Response> {
  const { issuedAt } = await admitDirectory(text, dependencies.authorities);
  const present = dependencies.store.read(directoryFile);
  // Signed once, an old directory could otherwise be brought back by whoever has kept it.
  if (present !== undefined && issuedAt < parseDirectory(parseNote(decodeUtf8(present)).text).issuedAt) {
    return problem(409, "stale");
  }
  dependencies.store.write(directoryFile, encodeUtf8(text));
  return new Response(null, { status: 204 });
}

function read(dependencies: PublisherDependencies, path: string, request: Request): Response {
  const { sequencer, store } = dependencies;
  if (path === "checkpoint") {
    const checkpoint = sequencer.checkpoint();
    return checkpoint === undefined ? problem(404, "not-found") : text(encodeUtf8(checkpoint), "no-cache");
  }
  if (path === "directory") {
    const directory = store.read(directoryFile);
    if (directory === undefined) return problem(404, "not-found");
    const etag = `"${encodeHex(sha256(directory)).slice(0, 32)}"`;
    if (request.headers.get("if-none-match") === etag)
      return new Response(null, { status: 304, headers: { etag } });
    return text(directory, "public, max-age=2", { etag });
  }
  const leaf = /^proof\/([0-9a-f]{64})$/.exec(path)?.[1];
  if (leaf !== undefined) {
    const proof = sequencer.prove(leaf);
    return proof === undefined ? problem(404, "not-found") : text(proof, "no-cache");
  }
  if (!path.startsWith("tile/")) return problem(404, "not-found");
  parseTilePath(path); // only canonical paths come near the file system
  const tile = store.read(path);
  if (tile === undefined) return problem(404, "not-found");
  const headers = { "content-type": "application/octet-stream", "cache-control": immutable };
  return new Response(tile, { headers });
}

function text(bytes: Bytes, cacheControl: string, headers: Record<string, string> = {}): Response {
  return new Response(bytes, {
    headers: { "content-type": "text/plain; charset=utf-8", "cache-control": cacheControl, ...headers },
  });
}
