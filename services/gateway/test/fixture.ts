// A gateway with real keys, a real issuer and a node that is a function.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bytes, copyBytes, systemRandom } from "@sotto/base";
import { blind, importIssuerPublicKey, serializeAuthorization, type Token } from "@sotto/credentials";
import { createIssuerKey, generateIssuerKey, issue } from "@sotto/credentials/issuer";
import {
  createGateway,
  createNodeRouter,
  createRedeemer,
  openSpentTokenStore,
  type Redemption,
  type SpentTokenStore,
} from "@sotto/gateway";
import type { Upstream } from "@sotto/kit";
import {
  type BinaryRequest,
  type BinaryResponse,
  encapsulateChunkedRequest,
  encapsulateRequest,
  kemId,
  mediaTypes,
  parseResponse,
  serializeRequest,
} from "@sotto/wire";
import { createGatewayKeys, generateKeyPair } from "@sotto/wire/gateway";

export const handle = "ab".repeat(16);
export const challenge = {
  issuerName: "issuer.test",
  redemptionContext: new Uint8Array(),
  originInfo: "gateway.sotto.invalid",
};

export type NodeCall = { readonly url: string; readonly headers: object; readonly body: Bytes };
export type Node = (call: NodeCall) => Response | Promise<Response>;

/** Answers like a node: opens the session `handle`, and says what it was sent. */
export const echoNode: Node = ({ body }) => new Response(body, { headers: { "sotto-session": handle } });

export const issuerPair = generateIssuerKey();
const issuerKey = createIssuerKey(issuerPair.privateKeyPem);
export const publicKey = await importIssuerPublicKey(issuerPair.spki);
export const pairs = [await generateKeyPair(1, kemId.x25519), await generateKeyPair(2, kemId.mlkem768X25519)];
const stalePair = await generateKeyPair(9, kemId.x25519);
export const configs = pairs.map(({ config }) => config);
export const staleConfig = stalePair.config;

/** A fresh token, for another challenge if one is given. */
export async function makeToken(forChallenge = challenge): Promise<Token> {
  const { request, finalize } = blind(forChallenge, publicKey, systemRandom);
  return finalize(issue(issuerKey, request));
}

export type FixtureOptions = {
  readonly node?: Node;
  readonly store?: SpentTokenStore;
  readonly notBefore?: number;
  readonly notAfter?: number;
};

export async function openFixture(options: FixtureOptions = {}) {
  const folder = mkdtempSync(join(tmpdir(), "sotto-gateway-"));
  const store = options.store ?? (await openSpentTokenStore(join(folder, "spent.sqlite")));
  const calls: NodeCall[] = [];
  const outcomes: Redemption[] = [];
  let now = 1_000_000;
  const clock = (): number => now * 1000;
  const redeemer = createRedeemer({
    ...challenge,
    keys: [{ key: publicKey, notBefore: options.notBefore ?? 0, notAfter: options.notAfter ?? 2_000_000 }],
    store,
    clock,
  });
  const fetch: Upstream = async (url, { headers = {}, body, signal }) => {
    signal?.throwIfAborted();
    const call = {
      url: String(url),
      headers,
      body: copyBytes(new Uint8Array(await new Response(body ?? null).arrayBuffer())),
    };
    calls.push(call);
    return (options.node ?? echoNode)(call);
  };
  const route = createNodeRouter({
    nodes: { alpha: "http://alpha.invalid/", beta: "http://beta.invalid/" },
    redeem: async (header) => {
      const outcome = await redeemer(header);
      outcomes.push(outcome);
      return outcome;
    },
    fetch,
    clock,
  });
  return {
    gateway: createGateway({ keys: await createGatewayKeys(pairs), route, random: systemRandom }),
    route,
    calls,
    outcomes,
    store,
    folder,
    setNow: (seconds: number) => {
      now = seconds;
    },
    close: async () => {
      await store.close();
      rmSync(folder, { recursive: true });
    },
  };
}

export type Fixture = Awaited<ReturnType<typeof openFixture>>;

export function innerRequest(changes: Partial<BinaryRequest> = {}): BinaryRequest {
  return {
    method: "POST",
    scheme: "https",
    authority: "alpha.sotto.invalid",
    path: "/sessions",
    headers: [],
    content: new TextEncoder().encode("flight"),
    trailers: [],
    ...changes,
  };
}

export function authorized(token: Token, changes: Partial<BinaryRequest> = {}): BinaryRequest {
  return innerRequest({ headers: [["authorization", serializeAuthorization(token)]], ...changes });
}

export function post(type: string, body: Bytes, headers: Record<string, string> = {}): Request {
  return new Request("http://gateway.invalid/gateway", {
    method: "POST",
    headers: { "content-type": type, ...headers },
    body,
  });
}

/** One whole exchange: sealed, sent, opened. */
export async function exchange(
  gateway: (request: Request) => Promise<Response>,
  inner: BinaryRequest | Bytes,
  config = configs[0],
): Promise<BinaryResponse & { readonly text: string; readonly size: number }> {
  if (config === undefined) throw new Error("no key configuration");
  const content = inner instanceof Uint8Array ? inner : serializeRequest(inner);
  const { request, openResponse } = await encapsulateRequest(config, content);
  const response = await gateway(post(mediaTypes.request, copyBytes(request)));
  if (response.status !== 200) throw new Error(`outer status ${response.status}`);
  const sealed = new Uint8Array(await response.arrayBuffer());
  const opened = parseResponse(await openResponse(sealed));
  return { ...opened, text: new TextDecoder().decode(opened.content), size: sealed.length };
}

/** Sends one streamed exchange; what comes back is still sealed. */
export async function stream(
  gateway: (request: Request) => Promise<Response>,
  inner: BinaryRequest,
  signal?: AbortSignal,
) {
  const [config] = configs;
  if (config === undefined) throw new Error("no key configuration");
  const sealed = await encapsulateChunkedRequest(config);
  const bytes = new Uint8Array([...sealed.header, ...(await sealed.sealFinal(serializeRequest(inner)))]);
  const request = new Request("http://gateway.invalid/gateway", {
    method: "POST",
    headers: { "content-type": mediaTypes.chunkedRequest },
    body: bytes,
    ...(signal === undefined ? {} : { signal }),
  });
  return { response: await gateway(request), opener: sealed.createResponseOpener(), bytes };
}
