// Rules for a request's control data, and for the fields that say the same a second time
// (RFC 9292 Section 3.4; RFC 9113 Section 8.3.1). What two readers could take differently is refused.
import { WireError } from "../wire-error.ts";
import type { BinaryRequest } from "./message.ts";

const methodPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const schemePattern = /^[a-z][a-z0-9+.-]*$/;
const authorityPattern = /^[!$%&'()*+,\-.0-9:;=A-Z[\]_a-z~]*$/; // no user information
const pathPattern = /^[!"$-~]*$/; // visible, no fragment

/** Throws `WireError` with `malformed` unless control data, `host` and `content-length` make one request. */
export function checkRequest(request: BinaryRequest): void {
  const { method, scheme, authority, path } = request;
  const wellFormed =
    methodPattern.test(method) &&
    authorityPattern.test(authority) &&
    pathPattern.test(path) &&
    (method === "CONNECT" ? isTunnel(request) : isTarget(method, scheme, path));
  if (!wellFormed) throw new WireError("malformed", "bhttp: control data is not a request target");
  for (const [name, value] of request.headers) {
    if (name === "host" && authority !== "" && value.toLowerCase() !== authority.toLowerCase()) {
      throw new WireError("malformed", "bhttp: host differs from the authority");
    }
    if (name === "content-length" && value !== String(request.content.length)) {
      throw new WireError("malformed", "bhttp: content-length differs from the content");
    }
  }
}

function isTunnel({ scheme, authority, path }: BinaryRequest): boolean {
  return scheme === "" && path === "" && authority !== "";
}

function isTarget(method: string, scheme: string, path: string): boolean {
  if (!schemePattern.test(scheme)) return false;
  if (scheme !== "http" && scheme !== "https") return true;
  return path.startsWith("/") || (method === "OPTIONS" && path === "*");
}
