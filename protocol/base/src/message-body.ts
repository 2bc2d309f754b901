// A whole body in memory, within a limit.
import { type Bytes, concatBytes } from "./bytes.ts";

/** Reads the body of a request or response; undefined when it is longer than `maxBytes`, of which no more is read. */
export async function readBody(message: Request | Response, maxBytes: number): Promise<Bytes | undefined> {
  const declared = message.headers.get("content-length");
  if (Number(declared ?? 0) > maxBytes) {
    await message.body?.cancel();
    return undefined;
  }
  // HTTP/1.1 holds a message to the length that it declares, unless it is unpacked later; this way is much quicker.
  // What a page is given of another origin does not show whether it was.
  const isOpaque = "type" in message && message.type === "cors";
  if (declared !== null && !isOpaque && !message.headers.has("content-encoding")) {
    const bytes = new Uint8Array(await message.arrayBuffer());
    return bytes.length > maxBytes ? undefined : bytes;
  }
  return message.body === null ? new Uint8Array() : readPieces(piecesOf(message.body), maxBytes);
}

// Not every browser iterates over streams by itself.
async function* piecesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = body.getReader();
  try {
    for (;;) {
      const next = await reader.read();
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Joins the pieces of a body; undefined when they are longer than `maxBytes`, of which no more is read. */
export async function readPieces(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  maxBytes: number,
): Promise<Bytes | undefined> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of pieces) {
    size += part.length;
    if (size > maxBytes) return undefined;
    parts.push(part);
  }
  return concatBytes(...parts);
}
