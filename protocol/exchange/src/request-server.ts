// The answering side of one HTTP request in an attested session.
import { type Bytes, CodedError, copyBytes } from "@sotto/base";
import type { ServerSession } from "@sotto/ratls";
import { parseRequest, ResponseSerializer } from "@sotto/wire";

/** Answers one request; what it throws reaches the peer as a code, never as a message. */
export type RequestHandler = (request: Request) => Promise<Response>;

/** Serves the one request of a session and resolves when its answer has been sent, whole or failed. */
export async function serveRequest(
  session: ServerSession,
  handler: RequestHandler,
  signal: AbortSignal,
): Promise<void> {
  const content = await session.request;
  const answer = session.respond();
  try {
    const response = await handler(asRequest(content, signal));
    const serializer = new ResponseSerializer();
    const contentType = response.headers.get("content-type");
    let unsent = serializer.head(
      response.status,
      contentType === null ? [] : [["content-type", contentType]],
    );
    if (response.body !== null) {
      for await (const chunk of response.body) {
        const piece = serializer.content(copyBytes(chunk));
        await answer.write(joined(unsent, piece));
        unsent = new Uint8Array();
      }
    }
    await answer.write(joined(unsent, serializer.end()));
    await answer.end();
  } catch (error) {
    await answer.fail(error instanceof CodedError ? error.code : "internal");
  }
}

function asRequest(content: Bytes, signal: AbortSignal): Request {
  const message = parseRequest(content);
  return new Request(`${message.scheme}://${message.authority}${message.path}`, {
    method: message.method,
    headers: message.headers.map(([name, value]): [string, string] => [name, value]),
    signal,
    ...(message.content.length === 0 ? {} : { body: message.content }),
  });
}

function joined(first: Bytes, second: Bytes): Bytes {
  if (first.length === 0) return second;
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
