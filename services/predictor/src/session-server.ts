// Accepts connections; each is one attested session with one question.
import { createServer, type Socket } from "node:net";
import type { Attester } from "@sotto/attester";
import type { Random } from "@sotto/base";
import { type RequestHandler, serveRequest } from "@sotto/exchange";
import { acceptServerSession } from "@sotto/ratls";

export type SessionServerOptions = {
  readonly port: number;
  readonly attester: Attester;
  readonly handler: RequestHandler;
  readonly random: Random;
  readonly maxSessions: number;
  /** How long a session may live, unused sessions included; milliseconds. */
  readonly lifetimeMs: number;
  readonly onEnd: (outcome: "answered" | "failed") => void;
};

/** Listens on loopback; port 0 takes a free one. */
export function serveSessions(
  options: SessionServerOptions,
): Promise<{ readonly address: string; readonly close: () => Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    if (sockets.size >= options.maxSessions) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    const lifetime = AbortSignal.timeout(options.lifetimeMs);
    const closed = new AbortController();
    socket.on("error", () => {});
    socket.on("close", () => {
      sockets.delete(socket);
      closed.abort();
    });
    serve(options, socket, AbortSignal.any([lifetime, closed.signal])).then(
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
  const session = await acceptServerSession({ stream: socket, role: "predictor", attester, random, signal });
  await serveRequest(session, handler, signal);
  session.close();
}
