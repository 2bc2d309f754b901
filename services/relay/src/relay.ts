// Forwards sealed bytes to one gateway and serves the directory to everybody alike. Reads neither.
import type { Clock } from "@sotto/base";
import { problem } from "@sotto/kit";

export type RelayDependencies = {
  readonly gatewayUrl: string;
  readonly directoryUrl: string;
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  readonly maxInFlight?: number;
};

const allowedTypes: ReadonlyMap<string, string> = new Map([
  ["message/ohttp-req", "message/ohttp-res"],
  ["message/ohttp-chunked-req", "message/ohttp-chunked-res"],
]);
const maxBodyBytes = 2 * 1024 * 1024;
const directoryFreshMs = 2000;
const directoryStaleMs = 5 * 60_000;

/** Wires the relay: `POST /relay` and `GET /directory`. */
export function createRelay(dependencies: RelayDependencies): (request: Request) => Promise<Response> {
  const directory = createDirectoryCache(dependencies);
  const maxInFlight = dependencies.maxInFlight ?? 1024;
  let inFlight = 0;
  return async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/directory") {
      return request.method === "GET" ? directory() : problem(405, "method-not-allowed");
    }
    if (pathname !== "/relay") return problem(404, "not-found");
    if (request.method !== "POST") return problem(405, "method-not-allowed");
    if (inFlight >= maxInFlight) return problem(503, "busy", { retryAfterMs: 1000 });
    inFlight += 1;
    try {
      return await forward(dependencies, request);
    } finally {
      inFlight -= 1;
    }
  };
}

async function forward(dependencies: RelayDependencies, request: Request): Promise<Response> {
  const type = request.headers.get("content-type") ?? "";
  const answerType = allowedTypes.get(type);
  if (answerType === undefined) return problem(415, "unsupported-media-type");
  const body = await request.arrayBuffer();
  if (body.byteLength > maxBodyBytes) return problem(413, "too-large");
  let answer: Response;
  try {
    // Nothing of the client's request goes on but its type and its bytes.
    answer = await dependencies.fetch(dependencies.gatewayUrl, {
      method: "POST",
      headers: { "content-type": type },
      body,
      redirect: "error",
      signal: request.signal,
    });
  } catch {
    return problem(502, "gateway-unreachable");
  }
  if (answer.status !== 200 || answer.headers.get("content-type") !== answerType) {
    await answer.body?.cancel();
    const status = answer.status >= 400 && answer.status < 600 ? answer.status : 502;
    return problem(status, "gateway-refused");
  }
  return new Response(answer.body, { headers: { "content-type": answerType, "cache-control": "no-store" } });
}

/** One copy for everybody: fetched once however many ask, and a while longer when its source is down. */
function createDirectoryCache(dependencies: RelayDependencies): () => Promise<Response> {
  let bytes: ArrayBuffer | undefined;
  let fetchedAt = 0;
  let pending: Promise<void> | undefined;
  const refresh = async (): Promise<void> => {
    const response = await dependencies.fetch(dependencies.directoryUrl, { redirect: "error" });
    if (!response.ok) throw new Error("directory is not there");
    const fetched = await response.arrayBuffer();
    if (fetched.byteLength > maxBodyBytes) throw new Error("directory is too large");
    bytes = fetched;
    fetchedAt = dependencies.clock();
  };
  return async () => {
    if (bytes === undefined || dependencies.clock() - fetchedAt > directoryFreshMs) {
      pending ??= refresh().finally(() => {
        pending = undefined;
      });
      await pending.catch(() => {});
    }
    if (bytes === undefined || dependencies.clock() - fetchedAt > directoryStaleMs) {
      return problem(502, "directory-unreachable");
    }
    return new Response(bytes, {
      headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "max-age=2" },
    });
  };
}
