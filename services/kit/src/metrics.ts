// Counters for whoever runs a service, on a port of their own on loopback: never beside the public handler. For services
// that hold no user's text; the others tell theirs in their log, and coarser (see counted-log.ts).
import { problem } from "./problem.ts";
import { type RunningServer, serve } from "./server.ts";

/** Serves `GET /metrics` on loopback; without a port, nothing. */
export async function openMetrics(
  port: number | undefined,
  metrics: () => string,
): Promise<RunningServer | undefined> {
  if (port === undefined) return undefined;
  const handler = async (request: Request): Promise<Response> => {
    if (new URL(request.url).pathname !== "/metrics") return problem(404, "not-found");
    if (request.method !== "GET") return problem(405, "method-not-allowed");
    return new Response(metrics(), { headers: { "content-type": "text/plain; version=0.0.4" } });
  };
  return serve({ handler, port, maxBodyBytes: 0, maxInFlight: 8 });
}
