// What the network is told when something goes wrong: a status and a code, nothing else (RFC 9457).

/** A problem response without any detail; `retryAfterMs` adds a Retry-After header. */
export function problem(status: number, code: string, options: { retryAfterMs?: number } = {}): Response {
  const headers: Record<string, string> = { "content-type": "application/problem+json" };
  if (options.retryAfterMs !== undefined)
    headers["retry-after"] = String(Math.ceil(options.retryAfterMs / 1000));
  return new Response(JSON.stringify({ type: "about:blank", status, code }), { status, headers });
}
