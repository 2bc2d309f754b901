// What the network is told when something goes wrong: a status and a code, nothing else (RFC 9457).

/** `type` is a registered problem type; `retryAfterMs` adds a Retry-After header. */
export type ProblemOptions = { readonly retryAfterMs?: number; readonly type?: string };

/** A problem response without any detail. */
export function problem(status: number, code: string, options: ProblemOptions = {}): Response {
  const headers: Record<string, string> = { "content-type": "application/problem+json" };
  if (options.retryAfterMs !== undefined)
    headers["retry-after"] = String(Math.ceil(options.retryAfterMs / 1000));
  return new Response(JSON.stringify({ type: options.type ?? "about:blank", status, code }), {
    status,
    headers,
  });
}
