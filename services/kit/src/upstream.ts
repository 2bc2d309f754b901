// Requests to the next service behind this one, over kept connections. node:http rather than the global fetch: half the
// processor time per exchange (150 for 330 us) and 0.1 ms less latency, measured, and no header of its own making.
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { CodedError } from "@sotto/base";

/** `body` is sent as it comes; a stream needs a `content-length` header to go without chunked coding. */
export type UpstreamRequest = {
  readonly method: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;
  readonly signal?: AbortSignal;
};

/**
 * Sends one request and resolves when the head of its answer is here; the body streams. Must not follow redirects or
 * repeat a request. Rejects, or fails the body, with an error when the other side does; aborting ends both directions.
 */
export type Upstream = (url: string | URL, request: UpstreamRequest) => Promise<Response>;

/** The other side could not be reached or broke off. */
export class UpstreamError extends CodedError<"unreachable" | "broke-off"> {}

const agentOptions = {
  keepAlive: true,
  noDelay: true,
  scheduling: "lifo",
  maxSockets: 4096,
  maxFreeSockets: 256,
  timeout: 50_000, // of idle connections: before the other side gives up its end
} as const;
const highWaterBytes = 64 * 1024;

/** Wires an upstream with connections of its own. */
export function createUpstream(): Upstream {
  const plain = new HttpAgent(agentOptions);
  const secure = new HttpsAgent(agentOptions);
  return (url, { method, headers = {}, body, signal }) =>
    new Promise((resolve, reject) => {
      const target = typeof url === "string" ? new URL(url) : url;
      const tls = target.protocol === "https:";
      const options = {
        method,
        headers: bodyHeaders(headers, body),
        ...(signal === undefined ? {} : { signal }),
      };
      const outgoing = tls
        ? httpsRequest(target, { ...options, agent: secure })
        : httpRequest(target, { ...options, agent: plain });
      outgoing.once("response", (incoming) => {
        try {
          resolve(responseOf(incoming));
        } catch (cause) {
          outgoing.destroy();
          reject(new UpstreamError("unreachable", "upstream: answer is not usable", { cause }));
        }
      });
      outgoing.on("error", (cause) => {
        reject(new UpstreamError("unreachable", "upstream: request failed", { cause }));
      });
      if (!(body instanceof ReadableStream)) {
        outgoing.end(body);
        return;
      }
      const failed = (): void => void outgoing.destroy();
      sendBody(body.getReader(), outgoing).catch(failed);
    });
}

function bodyHeaders(
  headers: Readonly<Record<string, string>>,
  body: UpstreamRequest["body"],
): Readonly<Record<string, string>> {
  return body instanceof Uint8Array ? { ...headers, "content-length": String(body.length) } : headers;
}

async function sendBody(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  outgoing: ReturnType<typeof httpRequest>,
): Promise<void> {
  let wake = (): void => {};
  outgoing.on("drain", () => wake());
  outgoing.once("close", () => {
    wake();
    reader.cancel().catch(() => {});
  });
  for (;;) {
    const { done, value } = await reader.read();
    if (outgoing.destroyed) return;
    if (done) break;
    if (!outgoing.write(value)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
  outgoing.end();
}

function responseOf(incoming: IncomingMessage): Response {
  const status = incoming.statusCode ?? 0;
  const headers: [string, string][] = [];
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (typeof value === "string") headers.push([name, value]);
  }
  if (status === 204 || status === 205 || status === 304) {
    incoming.resume();
    return new Response(null, { status, headers });
  }
  return new Response(bodyOf(incoming), { status, headers });
}

/** A stream of what arrives, which fails when the message ends before it is complete. */
function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        let over = false;
        const fail = (): void => {
          if (!over) controller.error(new UpstreamError("broke-off", "upstream: answer broke off"));
          over = true;
        };
        incoming.on("data", (chunk: Buffer) => {
          if (over) return;
          controller.enqueue(chunk);
          if ((controller.desiredSize ?? 0) <= 0) incoming.pause();
        });
        incoming.on("end", () => {
          if (!incoming.complete) return fail();
          if (!over) controller.close();
          over = true;
        });
        incoming.on("error", fail);
        incoming.on("close", fail);
      },
      pull() {
        incoming.resume();
      },
      cancel() {
        incoming.destroy();
      },
    },
    { highWaterMark: highWaterBytes, size: (chunk) => chunk.length },
  );
}
