// Opens the outer envelope, has the inner request routed, seals the answer: whole, or as it comes.
import { type Bytes, concatBytes, copyBytes, type Random, readBody } from "@sotto/base";
import { problem } from "@sotto/kit";
import {
  type BinaryRequest,
  mediaTypes,
  parseRequest,
  ResponseSerializer,
  serializeResponse,
  WireError,
} from "@sotto/wire";
import {
  type ChunkedResponseSealer,
  decapsulateChunkedRequest,
  decapsulateRequest,
  type GatewayKeys,
} from "@sotto/wire/gateway";
import { type InnerResponse, innerProblem } from "./node-router.ts";

export type GatewayDependencies = {
  readonly keys: GatewayKeys;
  readonly route: (request: BinaryRequest, signal: AbortSignal) => Promise<InnerResponse>;
  readonly random: Random;
};

/** What the server in front of the gateway must hold it to. */
export const gatewayLimits = { maxBodyBytes: 2 * 1024 * 1024, maxInFlight: 2048 } as const;

const maxAnswerBytes = 1024 * 1024;
const minAnswerBytes = 1024;
// Registered for a key that is not here: the client's directory is stale (RFC 9458 Section 5.3).
const staleKeyType = "https://iana.org/assignments/http-problem-types#ohttp-key";

type Opened = {
  readonly request: BinaryRequest;
  readonly answer: (inner: InnerResponse) => Promise<Response>;
};

/** Wires the gateway: `POST /gateway` (RFC 9458 Section 5). */
export function createGateway(dependencies: GatewayDependencies): (request: Request) => Promise<Response> {
  const { keys, route, random } = dependencies;
  return async (request) => {
    if (new URL(request.url).pathname !== "/gateway") return problem(404, "not-found");
    if (request.method !== "POST") return problem(405, "method-not-allowed");
    const type = request.headers.get("content-type");
    if (type !== mediaTypes.request && type !== mediaTypes.chunkedRequest) {
      return problem(415, "unsupported-media-type");
    }
    const body = await readBody(request, gatewayLimits.maxBodyBytes);
    if (body === undefined) return problem(413, "too-large");
    let opened: Opened;
    try {
      opened =
        type === mediaTypes.request
          ? await openWhole(keys, random, body)
          : await openChunked(keys, random, body);
    } catch (error) {
      if (error instanceof WireError) return refuse(error);
      throw error;
    }
    return opened.answer(await route(opened.request, request.signal));
  };
}

/**
 * A stale key is told, so that a client fetches the directory again, and by a status of its own, because of a refusal
 * the relay passes nothing else. Whatever else is wrong with an envelope looks the same.
 */
function refuse(error: WireError): Response {
  return error.code === "unknown-key"
    ? problem(401, "unknown-key", { type: staleKeyType })
    : problem(400, "decryption-failed");
}

async function openWhole(keys: GatewayKeys, random: Random, body: Bytes): Promise<Opened> {
  const { content, sealResponse } = await decapsulateRequest(keys, body);
  return {
    request: parseRequest(content),
    answer: async (inner) => {
      const answer = await serializeWhole(inner);
      return new Response(sealResponse(answer, random), { headers: { "content-type": mediaTypes.response } });
    },
  };
}

/** A known-length response, padded so that its size says little of what it is. */
async function serializeWhole(inner: InnerResponse): Promise<Bytes> {
  let content: Bytes | undefined;
  try {
    content = await readBody(new Response(inner.body ?? null), maxAnswerBytes);
  } catch {
    return serializeWhole(innerProblem(502, "node-unreachable"));
  }
  if (content === undefined) return serializeWhole(innerProblem(502, "answer-too-large"));
  const bytes = serializeResponse({ status: inner.status, headers: inner.headers, content, trailers: [] });
  const padded = new Uint8Array(Math.max(minAnswerBytes, 2 ** Math.ceil(Math.log2(bytes.length))));
  padded.set(bytes);
  return padded;
}

async function openChunked(keys: GatewayKeys, random: Random, body: Bytes): Promise<Opened> {
  const opener = decapsulateChunkedRequest(keys);
  const chunks = await opener.push(body);
  const request = parseRequest(concatBytes(...chunks, await opener.finish()));
  return {
    request,
    answer: async (inner) =>
      new Response(sealStream(inner, opener.createResponseSealer(random)), {
        headers: { "content-type": mediaTypes.chunkedResponse },
      }),
  };
}

/** An indeterminate-length response: every piece sealed and sent at once, and a final chunk only at a true end. */
function sealStream(inner: InnerResponse, sealer: ChunkedResponseSealer): ReadableStream<Uint8Array> {
  const serializer = new ResponseSerializer();
  const reader = inner.body?.getReader();
  const head = serializer.head(inner.status, inner.headers);
  let first: Bytes | undefined = concatBytes(sealer.header, sealer.seal(head));
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (first !== undefined) {
          controller.enqueue(first);
          first = undefined;
          return;
        }
        // When the node breaks off, this throws, and the answer ends without a final chunk.
        const next = await reader?.read();
        if (next === undefined || next.done) {
          controller.enqueue(sealer.sealFinal(serializer.end()));
          controller.close();
        } else controller.enqueue(sealer.seal(serializer.content(copyBytes(next.value))));
      },
      async cancel() {
        await reader?.cancel();
      },
    },
    { highWaterMark: 0 },
  );
}
