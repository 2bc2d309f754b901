// The asking side of one HTTP request in an attested session: binary HTTP inside RA-TLS.
import type { Bytes } from "@sotto/base";
import type { ClientSession } from "@sotto/ratls";
import { type HeaderList, ResponseParser, serializeRequest } from "@sotto/wire";

/** The request of a session; its host never resolves, so that a misrouted one goes nowhere. */
export type SessionRequest = {
  readonly method: string;
  readonly authority: `${string}.sotto.invalid`;
  readonly path: string;
  readonly contentType: string;
  readonly content: Bytes;
};

// Lengths of questions show at the relay and the gateway, so there are only a few.
const buckets = [4, 16, 64, 256, 1024].map((kib) => kib * 1024);

/** The largest question that fits a bucket, in bytes of binary HTTP. */
export const maxQuestionBytes = Math.max(...buckets);

/**
 * Sends the one request of a session, padded to a bucket, and resolves with the head of its answer;
 * the body streams. Rejects, and the body errors, with what the session throws: `RatlsError`, `WireError`.
 */
export async function sendRequest(session: ClientSession, request: SessionRequest): Promise<Response> {
  const question = serializeRequest({
    method: request.method,
    scheme: "https",
    authority: request.authority,
    path: request.path,
    headers: [["content-type", request.contentType]],
    content: request.content,
    trailers: [],
  });
  const padTo = buckets.find((bucket) => bucket >= question.length) ?? question.length;
  const parser = new ResponseParser();
  const chunks = session.request(question, { padTo })[Symbol.asyncIterator]();
  const waiting: Bytes[] = [];
  let head: { status: number; headers: HeaderList } | undefined;
  let ended = false;

  const pull = async (): Promise<void> => {
    try {
      const next = await chunks.next();
      const events = next.done === true ? parser.finish() : parser.push(next.value);
      for (const event of events) {
        if (event.type === "head") head = event;
        else if (event.type === "content") waiting.push(event.bytes);
      }
      ended = next.done === true;
    } catch (error) {
      session.close();
      throw error;
    }
  };

  while (head === undefined) await pull();
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        while (waiting.length === 0 && !ended) await pull();
        for (const bytes of waiting.splice(0)) controller.enqueue(bytes);
        if (ended) controller.close();
      },
      cancel: () => session.close(),
    },
    { highWaterMark: 0 },
  );
  const contentType =
    head.headers.find(([name]) => name === "content-type")?.[1] ?? "application/octet-stream";
  return new Response(body, { status: head.status, headers: { "content-type": contentType } });
}
