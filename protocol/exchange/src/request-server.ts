// The answering side of one HTTP request in an attested session.
import { type Bytes, CodedError } from "@sotto/base";
import { parseRequest, ResponseSerializer } from "@sotto/wire";
import type { ExchangeAnswer, ExchangeRequest } from "./answer.ts";

/** What is needed of a session to answer in it; the answering end of RA-TLS, which only Node has, is one. */
export type AnsweringSession = {
  readonly request: Promise<Bytes>;
  readonly respond: () => {
    readonly write: (chunk: Uint8Array) => Promise<void>;
    readonly end: () => Promise<void>;
    readonly fail: (code: string) => Promise<void>;
  };
};

/** Answers one request; what it throws reaches the peer as a code, never as a message. */
export type RequestHandler = (request: ExchangeRequest) => Promise<ExchangeAnswer>;

/** Serves the one request of a session and resolves when its answer has been sent, whole or failed. */
export async function serveRequest(session: AnsweringSession, handler: RequestHandler): Promise<void> {
  const content = await session.request;
  const answer = session.respond();
  try {
    const { method, path, content: body } = parseRequest(content);
    const response = await handler({ method, path, content: body });
    const serializer = new ResponseSerializer();
    let unsent = serializer.head(response.status, [["content-type", response.contentType]]);
    for await (const chunk of response.body) {
      await answer.write(joined(unsent, serializer.content(chunk)));
      unsent = new Uint8Array();
    }
    await answer.write(joined(unsent, serializer.end()));
    await answer.end();
  } catch (error) {
    await answer.fail(error instanceof CodedError ? error.code : "internal");
  }
}

function joined(first: Bytes, second: Bytes): Bytes {
  if (first.length === 0) return second;
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
