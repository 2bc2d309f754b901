// Opens the outer envelope, has the inner request routed, seals the answer: whole, or as it comes.
import { type Bytes, concatBytes, copyBytes, type Random } from "@sotto/base";
import { problem } from "@sotto/kit";
import { mediaTypes, parseRequest, ResponseSerializer, serializeResponse, WireError } from "@sotto/wire";
import { decapsulateChunkedRequest, decapsulateRequest, type GatewayKeys } from "@sotto/wire/gateway";
import type { InnerResponse } from "./node-router.ts";

export type GatewayDependencies = {
  readonly keys: GatewayKeys;
  readonly route: (request: ReturnType<typeof parseRequest>, signal: AbortSignal) => Promise<InnerResponse>;
  readonly random: Random;
};

const maxAnswerBytes = 1024 * 1024;

/** Wires the gateway: `POST /gateway` (RFC 9458 Section 5). */
export function createGateway(dependencies: GatewayDependencies): (request: Request) => Promise<Response> {
  return async (request) => {
    if (new URL(request.url).pathname !== "/gateway") return problem(404, "not-found");
    if (request.method !== "POST") return problem(405, "method-not-allowed");
    const type = request.headers.get("content-type");
    const body = new Uint8Array(await request.arrayBuffer());
    try {
      if (type === mediaTypes.request) return await answerWhole(dependencies, body, request.signal);
      if (type === mediaTypes.chunkedRequest) return await answerStream(dependencies, body, request.signal);
    } catch (error) {
      if (error instanceof WireError) return refuse(error);
      throw error;
    }
    return problem(415, "unsupported-media-type");
  };
}

/** A stale key is told, so that a client fetches the directory again; everything else looks the same. */
function refuse(error: WireError): Response {
  return error.code === "unknown-key" ? problem(401, "unknown-key") : problem(400, "decryption-failed");
}

async function answerWhole(
  dependencies: GatewayDependencies,
  body: Bytes,
  signal: AbortSignal,
): Promise<Response> {
  const { content, sealResponse } = await decapsulateRequest(dependencies.keys, body);
  const inner = await dependencies.route(parseRequest(content), signal);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of inner.body ?? []) {
    size += chunk.length;
    if (size > maxAnswerBytes) return problem(502, "answer-too-large");
    chunks.push(chunk);
  }
  const { status, headers } = inner;
  const answer = serializeResponse({ status, headers, content: concatBytes(...chunks), trailers: [] });
  return new Response(sealResponse(answer, dependencies.random), {
    headers: { "content-type": mediaTypes.response },
  });
}

async function answerStream(
  dependencies: GatewayDependencies,
  body: Bytes,
  signal: AbortSignal,
): Promise<Response> {
  const opener = decapsulateChunkedRequest(dependencies.keys);
  const opened = [...(await opener.push(body)), await opener.finish()];
  const sealer = opener.createResponseSealer(dependencies.random);
  const inner = await dependencies.route(parseRequest(concatBytes(...opened)), signal);
  const serializer = new ResponseSerializer();
  let first: Bytes | undefined = concatBytes(
    sealer.header,
    sealer.seal(serializer.head(inner.status, inner.headers)),
  );
  const reader = inner.body?.getReader();
  const stream = new ReadableStream<Uint8Array>(
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
  return new Response(stream, { headers: { "content-type": mediaTypes.chunkedResponse } });
}
