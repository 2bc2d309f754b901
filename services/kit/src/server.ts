// A fetch handler on a port: sizes, times and failures bounded, nothing of them told to anybody.
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { problem } from "./problem.ts";

export type ServeOptions = {
  readonly handler: (request: Request) => Promise<Response>;
  readonly port: number;
  readonly host?: string;
  readonly maxBodyBytes?: number;
  readonly onFailure?: () => void;
};

/** A listening server; `close` stops accepting, lets answers finish for a moment, then cuts. */
export type RunningServer = { readonly address: string; readonly close: () => Promise<void> };

const drainMs = 1000;

/** Listens on loopback unless told otherwise; port 0 takes a free one. */
export function serve(options: ServeOptions): Promise<RunningServer> {
  const maxBodyBytes = options.maxBodyBytes ?? 4 * 1024 * 1024;
  const fetch = async (request: Request): Promise<Response> => {
    if (Number(request.headers.get("content-length") ?? 0) > maxBodyBytes) return problem(413, "too-large");
    try {
      return await options.handler(request);
    } catch {
      options.onFailure?.();
      return problem(500, "internal");
    }
  };
  const created = createAdaptorServer({
    fetch,
    serverOptions: {
      maxHeaderSize: 16 * 1024,
      keepAliveTimeout: 60_000,
      headersTimeout: 15_000,
      requestTimeout: 60_000,
    },
  });
  if (!("closeIdleConnections" in created)) throw new Error("not an HTTP/1.1 server");
  const server: Server = created;
  server.on("connection", (socket) => socket.setNoDelay(true));
  server.on("clientError", (_error, socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host ?? "127.0.0.1", () => {
      const { address, port } = server.address() as AddressInfo; // listening on TCP, so never a string
      resolve({
        address: `http://${address}:${port}`,
        close: () =>
          new Promise((closed) => {
            const cut = setTimeout(() => server.closeAllConnections(), drainMs);
            server.close(() => {
              clearTimeout(cut);
              closed();
            });
            server.closeIdleConnections();
          }),
      });
    });
  });
}
