// Whether a request is meant for this server, by the authority that it names. A web page whose own name is made to
// resolve to a local address (DNS rebinding) is let through by the browser, but its requests carry that name.
import type { IncomingMessage } from "node:http";

/** Names and addresses that a server is asked by, as in a Host header: `relay.example`, `10.0.0.7:8080`. */
export type ExpectedHosts = readonly string[];

// With any port, since what forwards a port does not rewrite the header. No DNS answer stands behind a literal, nor,
// in a browser, behind `localhost`, so no page of somebody else comes under any of these.
const loopback = /^(127\.0\.0\.1|\[::1\]|localhost)(:\d{1,5})?$/;
const absoluteTarget = /^https?:\/\/([^/?#]*)/i;

/**
 * Tells what is wrong with the authority of a request: not exactly one Host (RFC 9112 Section 3.2), or one that is not
 * expected here. A target in absolute form must name the same. Loopback is always expected.
 */
export function findHostFault(
  request: Pick<IncomingMessage, "rawHeaders" | "url">,
  expected: ReadonlySet<string>,
): "malformed" | "unexpected" | undefined {
  const hosts = request.rawHeaders.filter(
    (_value, i, all) => i % 2 === 1 && all[i - 1]?.toLowerCase() === "host",
  );
  const [host, ...more] = hosts.map((value) => value.toLowerCase());
  if (host === undefined || more.length > 0) return "malformed";
  if (!expected.has(host) && !loopback.test(host)) return "unexpected";
  const target = request.url ?? "";
  if (target.startsWith("/")) return undefined;
  const named = absoluteTarget.exec(target)?.[1];
  if (named === undefined) return "malformed";
  return named.toLowerCase() === host ? undefined : "unexpected";
}
