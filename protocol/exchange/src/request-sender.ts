// The asking side of one HTTP request in an attested session: binary HTTP inside RA-TLS.
import type { Bytes } from "@sotto/base";
import type { ClientSession } from "@sotto/ratls";
import { type HeaderList, ResponseParser, serializeRequest } from "@sotto/wire";
import type { ExchangeAnswer } from "./answer.ts";

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
 * Sends the one request of a session, padded to a bucket, and resolves with the head of its answer; the body follows
 * as it comes. Rejects, and the body throws, with what the session throws: `RatlsError`, `WireError`.
 */
export async function sendRequest(
  session: Pick<ClientSession, "request" | "close">,
  request: SessionRequest,
): Promise<ExchangeAnswer> {
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
  const chunks = session.request(question, { padTo });
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

  async function* read(): AsyncGenerator<Bytes, void, undefined> {
    try {
      for (;;) {
        for (let bytes = waiting.shift(); bytes !== undefined; bytes = waiting.shift()) yield bytes;
        if (ended) return;
        await pull();
      }
    } finally {
      session.close();
    }
  }

  while (head === undefined) await pull();
  const contentType =
    head.headers.find(([name]) => name === "content-type")?.[1] ?? "application/octet-stream";
  return { status: head.status, contentType, body: read() };
}
