// Signs blinded tokens for accounts, in batches, up to a quota a day. Sees no request and no token.
import { timingSafeEqual } from "node:crypto";
import {
  ByteReader,
  type Bytes,
  ByteWriter,
  type Clock,
  EncodingError,
  encodeBase64Url,
  encodeUtf8,
  sha256,
} from "@sotto/base";
import { CredentialError, parseTokenRequest } from "@sotto/credentials";
import { type IssuerPrivateKey, issue } from "@sotto/credentials/issuer";
import { type PageAccess, problem } from "@sotto/kit";
import type { QuotaStore } from "./quota-store.ts";

/** Times in Unix seconds. */
export type TimedKey = {
  readonly key: IssuerPrivateKey;
  readonly notBefore: number;
  readonly notAfter: number;
};

export type IssuerDependencies = {
  readonly keys: readonly TimedKey[];
  /** SHA-256 of each account's secret. */
  readonly accounts: readonly { readonly id: string; readonly secretDigest: Bytes }[];
  readonly quota: QuotaStore;
  readonly quotaPerDay: number;
  readonly clock: Clock;
  readonly onIssued: (count: number) => void;
};

const directoryPath = "/.well-known/private-token-issuer-directory";
const pages: PageAccess = {
  "/tokens": { methods: ["POST"], headers: ["authorization", "content-type"] },
  [directoryPath]: { methods: ["GET"], headers: [] },
};

/** What the server in front of the issuer must hold it to. */
export const issuerLimits = { maxBodyBytes: 64 * 1024, pages } as const;

const requestType = "application/private-token-request-batch";
const responseType = "application/private-token-response-batch";
const maxBatch = 64;
const dayMs = 86_400_000;

/** Wires the issuer: `POST /tokens`, and its directory (RFC 9578 Section 4). */
export function createIssuer(dependencies: IssuerDependencies): (request: Request) => Promise<Response> {
  return async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === directoryPath) return directory(dependencies);
    if (pathname !== "/tokens") return problem(404, "not-found");
    if (request.method !== "POST") return problem(405, "method-not-allowed");
    const account = findAccount(dependencies, request.headers.get("authorization"));
    if (account === undefined) return problem(401, "unknown-account");
    if (request.headers.get("content-type") !== requestType) return problem(415, "unsupported-media-type");
    const requests = parseBatch(new Uint8Array(await request.arrayBuffer()));
    if (requests === undefined) return problem(400, "malformed");
    return issueBatch(dependencies, account, requests);
  };
}

function issueBatch(dependencies: IssuerDependencies, account: string, requests: readonly Bytes[]): Response {
  const now = dependencies.clock();
  const chosen: { key: IssuerPrivateKey; request: Bytes }[] = [];
  for (const request of requests) {
    const key = keyFor(dependencies, request, now);
    if (key === undefined) return problem(422, "unknown-key");
    chosen.push({ key, request });
  }
  const day = Math.floor(now / dayMs);
  // Charged first: a crash between the two costs the account a few tokens, never the quota its meaning.
  if (!dependencies.quota.charge(account, day, chosen.length, dependencies.quotaPerDay)) {
    return problem(429, "quota-used-up", { retryAfterMs: (day + 1) * dayMs - now });
  }
  const body = new ByteWriter().u16(chosen.length);
  try {
    for (const { key, request } of chosen) body.vector(2, issue(key, request));
  } catch (error) {
    if (error instanceof CredentialError && error.code !== "issuer-fault") return problem(400, "malformed");
    throw error;
  }
  dependencies.onIssued(chosen.length);
  return new Response(body.finish(), {
    headers: { "content-type": responseType, "cache-control": "no-store" },
  });
}

/** All secrets are compared, so that time says nothing about which account came close. */
function findAccount(dependencies: IssuerDependencies, header: string | null): string | undefined {
  const secret = /^Bearer ([\x21-\x7e]{1,256})$/.exec(header ?? "")?.[1] ?? "";
  const digest = sha256(encodeUtf8(secret));
  let found: string | undefined;
  for (const { id, secretDigest } of dependencies.accounts) {
    if (timingSafeEqual(digest, secretDigest)) found = id;
  }
  return found;
}

function keyFor(
  dependencies: IssuerDependencies,
  request: Bytes,
  nowMs: number,
): IssuerPrivateKey | undefined {
  const truncated = request[2];
  const now = nowMs / 1000;
  return dependencies.keys.find(
    ({ key, notBefore, notAfter }) => key.keyId.at(-1) === truncated && now >= notBefore && now < notAfter,
  )?.key;
}

/** `u16 count || count × (u16 length || TokenRequest)` */
function parseBatch(bytes: Uint8Array): Bytes[] | undefined {
  try {
    const reader = new ByteReader(bytes);
    const count = reader.u16();
    if (count < 1 || count > maxBatch) return undefined;
    const requests = Array.from({ length: count }, () => reader.vector(2, 512));
    reader.end();
    for (const request of requests) parseTokenRequest(request);
    return requests;
  } catch (error) {
    if (error instanceof EncodingError || error instanceof CredentialError) return undefined;
    throw error;
  }
}

function directory(dependencies: IssuerDependencies): Response {
  const keys = dependencies.keys.map(({ key, notBefore }) => ({
    "token-type": 2,
    "token-key": encodeBase64Url(key.spki),
    "not-before": notBefore,
  }));
  return new Response(JSON.stringify({ "issuer-request-uri": "/tokens", "token-keys": keys }), {
    headers: { "content-type": "application/private-token-issuer-directory", "cache-control": "max-age=300" },
  });
}
