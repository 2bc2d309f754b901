// Writes a fetch response to a node:http one: each chunk at once, and a broken answer as a broken connection,
// never as an answer that looks whole.
import type { ServerResponse } from "node:http";

const flushHeadersMs = 20;

/** Writes the answer; resolves to false when its body failed under way, and cuts the connection. */
export async function writeAnswer(response: Response, outgoing: ServerResponse): Promise<boolean> {
  if (outgoing.destroyed || outgoing.headersSent) {
    await response.body?.cancel().catch(() => {});
    return true;
  }
  outgoing.sendDate = false; // one fingerprint less
  outgoing.writeHead(response.status, [...response.headers].flat());
  if (response.body === null) {
    outgoing.end();
    return true;
  }
  // Headers travel with the first chunk, unless that lets the other side wait: by themselves they wake every process
  // on the way, just when the next one needs the processor.
  const flush = setTimeout(() => outgoing.flushHeaders(), flushHeadersMs);
  try {
    await writeBody(response.body.getReader(), outgoing);
    return true;
  } catch {
    // When the client has left, a body that fails is only the echo of that.
    const left = outgoing.destroyed;
    outgoing.destroy();
    return left;
  } finally {
    clearTimeout(flush);
  }
}

async function writeBody(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  outgoing: ServerResponse,
): Promise<void> {
  let wake = (): void => {};
  outgoing.on("drain", () => wake());
  outgoing.once("close", () => {
    wake();
    // A reader that has left: whoever produces the answer is told to stop.
    reader.cancel().catch(() => {});
  });
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!outgoing.write(value) && !outgoing.destroyed) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
  outgoing.end();
}
