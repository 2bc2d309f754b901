// Accepts connections; each is one attested session with one question, and is forgotten when it closes.
import { createServer, type Socket } from "node:net";
import type { Random } from "@sotto/base";
import { type RequestHandler, serveRequest } from "@sotto/exchange";
import { acceptServerSession, type SessionAttester } from "@sotto/ratls";

export type SessionServerOptions = {
  readonly port: number;
  readonly attester: SessionAttester;
  readonly handler: RequestHandler;
  readonly random: Random;
  readonly maxSessions: number;
  /** How long a session may take to be attested, waiting for the hardware included; milliseconds. */
  readonly attestMs: number;
  /** How long a session may live, the wait for its question included; milliseconds. */
  readonly lifetimeMs: number;
  readonly onEnd: (outcome: "answered" | "failed") => void;
};

/** A listening server; `close` cuts every session. */
export type SessionServer = { readonly address: string; readonly close: () => Promise<void> };

/** Listens on loopback; port 0 takes a free one. */
export function serveSessions(options: SessionServerOptions): Promise<SessionServer> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    if (sockets.size >= options.maxSessions) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    const closed = new AbortController();
    // A socket's failure reaches the session through its stream.
    socket.on("error", () => {});
    socket.on("close", () => {
      sockets.delete(socket);
      closed.abort();
    });
    serve(options, socket, closed.signal).then(
      () => options.onEnd("answered"),
      () => {
        socket.destroy();
        options.onEnd("failed");
      },
    );
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      resolve({
        address: `tcp://127.0.0.1:${port}`,
        close: () =>
          new Promise((done) => {
            for (const socket of sockets) socket.destroy();
            server.close(() => done());
          }),
      });
    });
  });
}

async function serve(options: SessionServerOptions, socket: Socket, signal: AbortSignal): Promise<void> {
  const { attester, handler, random } = options;
  const cut = (): void => void socket.destroy();
  // Timers of its own rather than AbortSignal.timeout, which would keep the session until it fires.
  const lifetime = setTimeout(cut, options.lifetimeMs);
  const attest = setTimeout(cut, options.attestMs);
  try {
    const session = await acceptServerSession({
      stream: socket,
      role: "predictor",
      attester,
      random,
      signal,
    });
    clearTimeout(attest);
    await serveRequest(session, handler, signal);
    session.close();
  } finally {
    clearTimeout(attest);
    clearTimeout(lifetime);
  }
}
