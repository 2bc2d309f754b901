// The part that accepts connections: gives every session a handle and moves ciphertext, nothing else.
import { type Bytes, type Clock, encodeHex, type Random, readBody } from "@sotto/base";
import { problem } from "@sotto/kit";
import { type FlightSink, FlightStream } from "./flight-stream.ts";

/** Limits of the switchboard; times in milliseconds. */
export type SwitchboardLimits = {
  readonly maxSessions: number;
  readonly maxBodyBytes: number;
  readonly idleMs: number;
  readonly lifetimeMs: number;
};

export const defaultSwitchboardLimits: SwitchboardLimits = {
  maxSessions: 512,
  maxBodyBytes: 1024 * 1024 + 64 * 1024, // the largest request, with its TLS records
  idleMs: 120_000,
  lifetimeMs: 600_000,
};

export type SwitchboardDependencies = {
  /** Serves one session over the stream; calls `endFlight` on it whenever it has nothing more to say. */
  readonly serveSession: (stream: FlightStream, signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits?: SwitchboardLimits;
};

export type Switchboard = {
  readonly handle: (request: Request) => Promise<Response>;
  readonly sessionCount: () => number;
  readonly close: () => void;
};

type Entry = {
  readonly stream: FlightStream;
  readonly abort: AbortController;
  readonly expiresAt: number;
  usedAt: number;
};

/** Wires a switchboard: `POST /sessions` opens a session, `POST /sessions/<handle>` carries one exchange of it. */
export function createSwitchboard(dependencies: SwitchboardDependencies): Switchboard {
  const limits = dependencies.limits ?? defaultSwitchboardLimits;
  const sessions = new Map<string, Entry>();

  const drop = (handle: string): void => {
    const entry = sessions.get(handle);
    if (entry === undefined) return;
    sessions.delete(handle);
    entry.abort.abort();
    entry.stream.destroy();
  };

  const dropExpired = (): void => {
    const now = dependencies.clock();
    for (const [handle, entry] of sessions) {
      if (now > entry.expiresAt || now > entry.usedAt + limits.idleMs) drop(handle);
    }
  };

  const open = (): { handle: string; entry: Entry } => {
    const handle = encodeHex(dependencies.random(16));
    const now = dependencies.clock();
    const entry: Entry = {
      stream: new FlightStream(),
      abort: new AbortController(),
      expiresAt: now + limits.lifetimeMs,
      usedAt: now,
    };
    // A session that fails has said so to its own client, inside TLS; nobody else is told why.
    entry.stream.on("error", () => {});
    sessions.set(handle, entry);
    dependencies
      .serveSession(entry.stream, entry.abort.signal)
      .catch(() => {})
      .finally(() => {
        entry.stream.end();
        sessions.delete(handle);
      });
    return { handle, entry };
  };

  const handle = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    const match = /^\/sessions(?:\/([0-9a-f]{32}))?$/.exec(pathname);
    if (match === null) return problem(404, "not-found");
    if (request.method !== "POST") return problem(405, "method-not-allowed");
    const body = await readBody(request, limits.maxBodyBytes);
    if (body === undefined) return problem(413, "too-large");
    dropExpired();
    const known = match[1];
    if (known !== undefined) {
      const entry = sessions.get(known);
      if (entry === undefined) return problem(404, "unknown-session");
      entry.usedAt = dependencies.clock();
      return exchange(entry.stream, body, {});
    }
    if (sessions.size >= limits.maxSessions) return problem(503, "busy", { retryAfterMs: 1000 });
    const opened = open();
    return exchange(opened.entry.stream, body, { "sotto-session": opened.handle });
  };

  return {
    handle,
    sessionCount: () => sessions.size,
    close: () => {
      for (const handle of [...sessions.keys()]) drop(handle);
    },
  };
}

function exchange(stream: FlightStream, input: Bytes, headers: Record<string, string>): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const sink: FlightSink = {
        write: (bytes) => controller.enqueue(bytes),
        end: () => controller.close(),
        abort: () => controller.error(new Error("session ended early")),
      };
      stream.exchange(input, sink);
    },
    cancel() {
      stream.destroy();
    },
  });
  return new Response(body, { headers: { "content-type": "application/octet-stream", ...headers } });
}
