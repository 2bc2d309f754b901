// A fetch handler on a port: sizes, times and failures bounded, nothing of them told to anybody. Requests are read by
// @hono/node-server, 0.03 ms slower here than bare node:http; answers are not written by it, because on a broken
// stream it prints the error, and may send its message.
import { createServer, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { writeAnswer } from "./answer-writer.ts";
import { createBoundedMessage } from "./bounded-message.ts";
import { ConfigError } from "./config.ts";
import { type ExpectedHosts, findHostFault } from "./expected-hosts.ts";
import { answerPreflight, openToPages, type PageAccess } from "./page-access.ts";
import { problem } from "./problem.ts";

/** "handler": it threw; "answer": its answer broke off after it had begun. */
export type ServeFailure = "handler" | "answer";

/**
 * `maxInFlight` counts requests whose answers have not ended, streams included; `hosts` are expected beside loopback
 * and the address listened on; `pages` are the paths that web pages may use, none unless given.
 */
export type ServeOptions = {
  readonly handler: (request: Request) => Promise<Response>;
  readonly port: number;
  readonly host?: string;
  readonly hosts?: ExpectedHosts;
  readonly maxBodyBytes?: number;
  readonly maxInFlight?: number;
  readonly pages?: PageAccess;
  readonly onFailure?: (failure: ServeFailure) => void;
};

/** A listening server; `close` stops accepting, lets answers finish for a moment, then cuts. */
export type RunningServer = { readonly address: string; readonly close: () => Promise<void> };

const maxHeaderBytes = 16 * 1024;
const headersMs = 15_000;
const requestMs = 60_000; // a whole request; answers may stream for longer
const keepAliveMs = 60_000;
const silenceMs = 300_000; // nothing sent or taken on a connection
const drainMs = 1000;
const retryAfterMs = 1000;

/**
 * Listens on loopback unless told otherwise; port 0 takes a free one.
 *
 * A request for another host is answered 421, a body over its limit 413, a request over `maxInFlight` 503, a handler
 * that throws 500: status and code, nothing else. A client that leaves aborts `request.signal`. Upgrades are not offered.
 */
export function serve(options: ServeOptions): Promise<RunningServer> {
  const maxBodyBytes = options.maxBodyBytes ?? 4 * 1024 * 1024;
  const maxInFlight = options.maxInFlight ?? 4096;
  const expected = new Set(options.hosts?.map((host) => host.toLowerCase()));
  const BoundedMessage = createBoundedMessage(maxBodyBytes);
  let inFlight = 0;
  let closing = false;

  const admit = (request: Request): Response | undefined => {
    if (Number(request.headers.get("content-length") ?? 0) > maxBodyBytes) return problem(413, "too-large");
    return inFlight > maxInFlight ? problem(503, "busy", { retryAfterMs }) : undefined;
  };

  const listener = getRequestListener(
    async (request, { incoming, outgoing }) => {
      if (!(outgoing instanceof ServerResponse)) throw new Error("not an HTTP/1.1 server");
      inFlight += 1;
      outgoing.once("close", () => {
        inFlight -= 1;
        if (closing) setImmediate(() => server.closeIdleConnections());
      });
      if (incoming instanceof BoundedMessage) {
        incoming.onOverflow = () => {
          outgoing.once("finish", () => incoming.destroy());
          void writeAnswer(openToPages(options.pages, request, problem(413, "too-large")), outgoing);
        };
      }
      let response: Response;
      try {
        response =
          answerPreflight(options.pages, request) ?? admit(request) ?? (await options.handler(request));
      } catch {
        // A request that ended early, by its client or at the limit, takes its handler along.
        if (!outgoing.headersSent && !request.signal.aborted) options.onFailure?.("handler");
        response = problem(500, "internal");
      }
      openToPages(options.pages, request, response);
      if (!(await writeAnswer(response, outgoing))) options.onFailure?.("answer");
      return RESPONSE_ALREADY_SENT;
    },
    { overrideGlobalObjects: false, errorHandler: () => problem(400, "malformed") },
  );

  const server = createServer(
    {
      IncomingMessage: BoundedMessage,
      requireHostHeader: false, // asked for below, where the answer has a code
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      keepAliveTimeout: keepAliveMs,
      connectionsCheckingInterval: 5000,
      noDelay: true,
    },
    (incoming, outgoing) => {
      const fault = findHostFault(incoming, expected);
      void (fault === undefined ? listener(incoming, outgoing) : writeAnswer(hostProblem(fault), outgoing));
    },
  );
  server.timeout = silenceMs;
  server.on("clientError", (_error, socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      reject(new ConfigError("address-unavailable", "server: its address cannot be listened on", { cause }));
    });
    server.listen(options.port, options.host ?? "127.0.0.1", () => {
      const { address, port } = server.address() as AddressInfo; // listening on TCP, so never a string
      if (address !== "0.0.0.0" && address !== "::") expected.add(authorityOf(address, port));
      resolve({
        address: `http://${authorityOf(address, port)}`,
        close: () =>
          new Promise((closed) => {
            closing = true;
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

function authorityOf(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

// The connection ends: whoever asks here for somebody else may have a body that nobody has a use for.
function hostProblem(fault: "malformed" | "unexpected"): Response {
  const answer = fault === "malformed" ? problem(400, "malformed") : problem(421, "wrong-host");
  answer.headers.set("connection", "close");
  return answer;
}
