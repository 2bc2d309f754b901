// Where an inner request may go: to a node that exists, to open a session with a token, or on with one opened here.
import { type Bytes, type Clock, copyBytes } from "@sotto/base";
import type { BinaryRequest, HeaderList } from "@sotto/wire";
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
  readonly fetch: typeof fetch;
  readonly clock: Clock;
};

const sessionLifetimeMs = 15 * 60_000;
const maxSessions = 100_000;
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
  const sessions = new Map<string, { readonly node: string; readonly expiresAt: number }>();

  const remember = (session: string, node: string): void => {
    const now = dependencies.clock();
    for (const [handle, { expiresAt }] of sessions) {
      if (expiresAt > now && sessions.size < maxSessions) break;
      sessions.delete(handle); // the oldest come first
    }
    sessions.set(session, { node, expiresAt: now + sessionLifetimeMs });
  };

  return async (request, signal) => {
    const node = /^([a-z0-9-]{1,63})\.sotto\.invalid$/.exec(request.authority)?.[1] ?? "";
    const base = Object.hasOwn(dependencies.nodes, node) ? dependencies.nodes[node] : undefined;
    if (base === undefined || request.method !== "POST") return innerProblem(404, "unknown-node");
    const [, session] = /^\/sessions(?:\/([0-9a-f]{32}))?$/.exec(request.path) ?? [];
    if (session === undefined) {
      if (request.path !== "/sessions") return innerProblem(404, "not-found");
      const header = request.headers.find(([name]) => name === "authorization")?.[1];
      const redemption = await dependencies.redeem(header);
      if (redemption !== "redeemed") return innerProblem(statusOf[redemption], redemption);
    } else {
      const known = sessions.get(session);
      // A handle is good only where it was made, so that nobody can try handles out.
      if (known === undefined || known.node !== node || known.expiresAt < dependencies.clock()) {
        return innerProblem(404, "unknown-session");
      }
    }
    const answer = await send(dependencies, new URL(request.path, base), request.content, signal);
    if (answer === undefined) return innerProblem(502, "node-unreachable");
    const opened = answer.headers.get("sotto-session") ?? "";
    if (session === undefined && answer.ok && /^[0-9a-f]{32}$/.test(opened)) remember(opened, node);
    const headers: HeaderList = opened === "" ? [] : [["sotto-session", opened]];
    return { status: answer.status, headers, body: answer.body ?? undefined };
  };
}

async function send(
  dependencies: NodeRouterDependencies,
  url: URL,
  body: Bytes,
  signal: AbortSignal,
): Promise<Response | undefined> {
  try {
    return await dependencies.fetch(url, {
      method: "POST",
      headers: { "content-type": "application/octet-stream" },
      body: copyBytes(body),
      redirect: "error",
      signal,
    });
  } catch {
    return undefined;
  }
}

function innerProblem(status: number, code: string): InnerResponse {
  const body = JSON.stringify({ type: "about:blank", status, code });
  return {
    status,
    headers: [["content-type", "application/problem+json"]],
    body: new Blob([body]).stream(),
  };
}
