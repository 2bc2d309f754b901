// The local endpoint on a port of the loopback interface.
import type { AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import type { PrivateFetch } from "@sotto/sdk";
import { createProxy } from "./proxy.ts";

export type ProxyServer = { readonly address: string; readonly close: () => Promise<void> };

/** Starts the endpoint on 127.0.0.1; port 0 takes a free one. */
export async function startProxy(privateFetch: PrivateFetch, port: number): Promise<ProxyServer> {
  const hosts: string[] = [];
  const handle = createProxy({ privateFetch, hosts });
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: handle, hostname: "127.0.0.1", port }, (info: AddressInfo) => {
      hosts.push(`127.0.0.1:${info.port}`, `localhost:${info.port}`);
      resolve({
        address: `http://127.0.0.1:${info.port}`,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            if ("closeAllConnections" in server) server.closeAllConnections();
          }),
      });
    });
    server.on("error", reject);
  });
}
