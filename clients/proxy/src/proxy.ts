// The local endpoint: speaks the OpenAI API on loopback, answers through a private `fetch`.
import { openAiError, type PrivateFetch, privateBaseUrl, SottoError } from "@sotto/sdk";

export type ProxyDependencies = {
  readonly privateFetch: PrivateFetch;
  /** The only Host values that are served, for instance `127.0.0.1:8787`. */
  readonly hosts: readonly string[];
};

const maxBodyBytes = 1024 * 1024;
const statusOf = { fix: 400, retry: 503, pay: 402, stop: 403 } as const;

/** Wires the endpoint's handler. */
export function createProxy(dependencies: ProxyDependencies): (request: Request) => Promise<Response> {
  const { privateFetch, hosts } = dependencies;

  const chat = async (request: Request): Promise<Response> => {
    // A page of another site can send forms and plain text here, but not JSON, without asking first.
    const contentType = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
    if (contentType !== "application/json") return refuse(415, "unsupported-media-type");
    if (Number(request.headers.get("content-length") ?? 0) > maxBodyBytes) return refuse(413, "too-large");
    const body = new Uint8Array(await request.arrayBuffer());
    if (body.length > maxBodyBytes) return refuse(413, "too-large");
    return privateFetch(`${privateBaseUrl}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
      signal: request.signal,
    });
  };

  const routes: Record<string, (request: Request) => Promise<Response>> = {
    "POST /v1/chat/completions": chat,
    "GET /v1/models": () => privateFetch(`${privateBaseUrl}/models`),
    "GET /verification": async () => {
      const verification = await privateFetch.verify();
      return Response.json(verification, {
        status: verification.overall === "refused" ? 502 : 200,
        headers: { "cache-control": "no-store" },
      });
    },
  };

  return async (request) => {
    // A name that resolves to loopback must not turn a web page into a client (audit 31).
    const host = request.headers.get("host")?.toLowerCase();
    if (host === undefined || !hosts.includes(host)) return refuse(421, "wrong-host");
    const origin = request.headers.get("origin");
    if (origin !== null && !hosts.some((allowed) => origin === `http://${allowed}`)) {
      return refuse(403, "wrong-origin");
    }
    const { pathname } = new URL(request.url);
    const route = routes[`${request.method} ${pathname}`];
    if (route === undefined) return refuse(404, "unknown-endpoint");
    try {
      return await route(request);
    } catch (error) {
      if (error instanceof SottoError) return refuse(statusOf[error.advice], error.code, error.message);
      if (request.signal.aborted) return refuse(499, "aborted");
      return refuse(500, "internal");
    }
  };
}

function refuse(status: number, code: string, message?: string): Response {
  return Response.json(openAiError(code, status, message), {
    status,
    headers: { "x-should-retry": status === 503 ? "true" : "false" },
  });
}
