// Forwards sealed bytes to one gateway and serves the directory to everybody alike. Reads neither.
import type { Clock } from "@sotto/base";
import { type PageAccess, problem, type Upstream } from "@sotto/kit";
import { createDirectoryCache } from "./directory-cache.ts";

export type RelayDependencies = {
  readonly gatewayUrl: string;
  readonly directoryUrl: string;
  readonly fetch: Upstream;
  readonly clock: Clock;
};

const pages: PageAccess = {
  "/relay": { methods: ["POST"], headers: ["content-type"] },
  "/directory": { methods: ["GET"], headers: [] },
};

/** What the server in front of the relay must hold it to. */
export const relayLimits = { maxBodyBytes: 2 * 1024 * 1024, maxInFlight: 1024, pages } as const;

// Types of requests, and the one type that may answer each (RFC 9458 Section 6.1).
const answerTypes: ReadonlyMap<string, string> = new Map([
  ["message/ohttp-req", "message/ohttp-res"],
  ["message/ohttp-chunked-req", "message/ohttp-chunked-res"],
]);

/** Wires the relay: `POST /relay` and `GET /directory`. Bodies stream both ways and are kept nowhere. */
export function createRelay(dependencies: RelayDependencies): (request: Request) => Promise<Response> {
  const gateway = new URL(dependencies.gatewayUrl);
  const directory = createDirectoryCache({
    url: dependencies.directoryUrl,
    fetch: dependencies.fetch,
    clock: dependencies.clock,
  });
  return async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/directory") {
      return request.method === "GET" ? directory() : problem(405, "method-not-allowed");
    }
    if (pathname !== "/relay") return problem(404, "not-found");
    if (request.method !== "POST") return problem(405, "method-not-allowed");
    return forward(dependencies.fetch, gateway, request);
  };
}

async function forward(fetch: Upstream, gateway: URL, request: Request): Promise<Response> {
  const type = request.headers.get("content-type") ?? "";
  const answerType = answerTypes.get(type);
  if (answerType === undefined) return problem(415, "unsupported-media-type");
  const length = request.headers.get("content-length");
  if (Number(length ?? 0) > relayLimits.maxBodyBytes) return problem(413, "too-large");
  if (request.body === null) return problem(400, "no-body");
  let answer: Response;
  try {
    answer = await fetch(gateway, {
      method: "POST",
      // Nothing of the client's request goes on but its type, its length and its bytes.
      headers: { "content-type": type, ...(length === null ? {} : { "content-length": length }) },
      body: request.body,
      signal: request.signal,
    });
  } catch {
    return problem(502, "gateway-unreachable");
  }
  if (answer.status !== 200 || answer.headers.get("content-type") !== answerType) {
    await answer.body?.cancel().catch(() => {});
    return refusal(answer.status);
  }
  return new Response(answer.body, { headers: { "content-type": answerType, "cache-control": "no-store" } });
}

/** Of a refusal the status passes and nothing else: 401 says that a key is stale, 503 that there is no room. */
function refusal(status: number): Response {
  if (status < 400 || status > 599) return problem(502, "gateway-refused");
  const busy = status === 429 || status === 503;
  return problem(status, "gateway-refused", busy ? { retryAfterMs: 1000 } : {});
}
