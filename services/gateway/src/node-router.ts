// Where an inner request may go: to a node that exists, to open a session with a token, or on with one opened here.
import { type Clock, encodeUtf8 } from "@sotto/base";
import type { Upstream } from "@sotto/kit";
import type { BinaryRequest, HeaderList } from "@sotto/wire";
import { SessionTable } from "./session-table.ts";
import type { Redemption } from "./token-redeemer.ts";

/** An answer for the inside of the envelope; `body` may stream. */
export type InnerResponse = {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: ReadableStream<Uint8Array> | undefined;
};

export type NodeRouterDependencies = {
  /** Base URLs by handle. */
  readonly nodes: Readonly<Record<string, string>>;
  readonly redeem: (header: string | undefined) => Promise<Redemption>;
  readonly fetch: Upstream;
  readonly clock: Clock;
};

const authorityPattern = /^([a-z0-9-]{1,63})\.sotto\.invalid$/;
const pathPattern = /^\/sessions(?:\/([0-9a-f]{32}))?$/;
const handlePattern = /^[0-9a-f]{32}$/;
const statusOf = {
  "no-token": 401,
  "token-refused": 401,
  "token-spent": 401,
  "store-failed": 503,
} as const satisfies Record<Exclude<Redemption, "redeemed">, number>;

/** Wires the router. */
export function createNodeRouter(
  dependencies: NodeRouterDependencies,
): (request: BinaryRequest, signal: AbortSignal) => Promise<InnerResponse> {
  const sessions = new SessionTable(dependencies.clock);
  const nodes = new Map(Object.entries(dependencies.nodes).map(([node, url]) => [node, new URL(url)]));

  return async (request, signal) => {
    const node = authorityPattern.exec(request.authority)?.[1] ?? "";
    const base = nodes.get(node);
    if (base === undefined || request.scheme !== "https") return innerProblem(404, "unknown-node");
    const path = pathPattern.exec(request.path);
    if (path === null) return innerProblem(404, "not-found");
    if (request.method !== "POST") return innerProblem(405, "method-not-allowed");
    const session = path[1];
    if (session === undefined) {
      const redemption = await dependencies.redeem(authorizationOf(request.headers));
      if (redemption !== "redeemed") return innerProblem(statusOf[redemption], redemption);
    } else if (!sessions.has(node, session)) {
      // A handle is good only where it was made, so that nobody can try handles out.
      return innerProblem(404, "unknown-session");
    }
    let answer: Response;
    try {
      answer = await dependencies.fetch(new URL(request.path, base), {
        method: "POST",
        headers: { "content-type": "application/octet-stream" },
        body: request.content,
        signal,
      });
    } catch {
      return innerProblem(502, "node-unreachable");
    }
    const inner = { status: answer.status, headers: [], body: answer.body ?? undefined };
    if (session !== undefined || !answer.ok) return inner;
    const opened = answer.headers.get("sotto-session") ?? "";
    if (!handlePattern.test(opened)) {
      await answer.body?.cancel();
      return innerProblem(502, "node-unreachable");
    }
    sessions.add(node, opened);
    return { ...inner, headers: [["sotto-session", opened]] };
  };
}

/** The one Authorization header; with two of them nobody can say which was meant, so there is none. */
function authorizationOf(headers: HeaderList): string | undefined {
  const values = headers.filter(([name]) => name === "authorization");
  return values.length === 1 ? values[0]?.[1] : undefined;
}

/** A problem for the inside of the envelope: only the client can read it. */
export function innerProblem(status: number, code: string): InnerResponse {
  const body = encodeUtf8(JSON.stringify({ type: "about:blank", status, code }));
  return {
    status,
    headers: [["content-type", "application/problem+json"]],
    body: new Response(body).body ?? undefined,
  };
}
