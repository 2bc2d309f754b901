// A deployment that is one `fetch`: a log with a witness, a signed directory, an issuer and a gateway with real keys.
// Behind the gateway there is no node; what a session does is tested with real ones, end to end.
import type { TrustSettings } from "@sotto/attestation";
import { developmentPolicy } from "@sotto/attestation/software";
import {
  ByteReader,
  type Bytes,
  ByteWriter,
  copyBytes,
  encodeBase64,
  encodeHex,
  sha256,
  systemRandom,
} from "@sotto/base";
import { createIssuerKey, generateIssuerKey, issue } from "@sotto/credentials/issuer";
import {
  type Directory,
  generateSigner,
  noteKeyType,
  serializeStatement,
  serializeVerifier,
  signDirectory,
} from "@sotto/log";
import {
  type BinaryRequest,
  kemId,
  mediaTypes,
  parseRequest,
  serializeKeyConfigList,
  serializeResponse,
} from "@sotto/wire";
import {
  createGatewayKeys,
  decapsulateRequest,
  type GatewayKeyPair,
  generateKeyPair,
} from "@sotto/wire/gateway";
import { proveStatements } from "../../../protocol/log/test/witnessed-log.ts";

const nowSeconds = Math.floor(Date.now() / 1000);
const signers = await Promise.all([
  generateSigner("log.example", noteKeyType.ed25519),
  generateSigner("witness.example", noteKeyType.cosignature),
  generateSigner("directory.example", noteKeyType.ed25519),
]);
export const [log, witness, authority] = signers;
const issuerPair = generateIssuerKey();
const issuerKey = createIssuerKey(issuerPair.privateKeyPem);
export const gatewayPairs = [await generateKeyPair(1, kemId.x25519), await generateKeyPair(2, kemId.x25519)];

const digest = (bytes: Bytes) => `sha256:${encodeHex(sha256(bytes))}` as const;

/** A directory that names `pair` as the gateway's key; `change` bends it before it is signed. */
export async function makeDirectory(
  pair: GatewayKeyPair,
  change: (directory: Directory) => Directory = (directory) => directory,
  signer = authority,
): Promise<string> {
  const configs = serializeKeyConfigList([pair.config]);
  const statements = (
    [
      ["ohttp", configs],
      ["issuer", issuerPair.spki],
    ] as const
  ).map(([purpose, bytes]) =>
    serializeStatement({
      kind: "keys",
      purpose,
      keys: [digest(bytes)],
      notBefore: nowSeconds - 60,
      notAfter: nowSeconds + 86_400,
      issuedAt: nowSeconds - 60,
      expiresAt: nowSeconds + 86_400,
    }),
  );
  const proofs = await proveStatements(statements, { log, witness, seenAt: nowSeconds });
  const proved = (index: number) => ({
    statement: encodeBase64(statements[index] ?? new Uint8Array()),
    proof: new TextDecoder().decode(proofs[index]),
  });
  const directory: Directory = {
    kind: "directory",
    issuedAt: nowSeconds - 1,
    expiresAt: nowSeconds + 600,
    ohttp: { ...proved(0), configs: encodeBase64(configs) },
    issuer: {
      ...proved(1),
      name: "issuer.example",
      keys: [
        { spki: encodeBase64(issuerPair.spki), notBefore: nowSeconds - 60, notAfter: nowSeconds + 3600 },
      ],
    },
    nodes: [{ handle: "node-1", role: "orchestrator" }],
    releases: [],
    models: [{ id: "model" }],
  };
  return signDirectory(change(directory), signer);
}

export type World = {
  /** Text of the directory; changes as the test says. */
  directory: string;
  /** Keys that the gateway has now. */
  keys: readonly GatewayKeyPair[];
  readonly asked: string[];
  readonly inner: BinaryRequest[];
  /** Answers in the place of the real one. */
  answer: (path: string) => Response | undefined;
};

/** A world and the `fetch` that leads into it. */
export async function createWorld(): Promise<{ world: World; fetch: typeof fetch }> {
  const [pair] = gatewayPairs;
  if (pair === undefined) throw new Error("no key");
  const world: World = {
    directory: await makeDirectory(pair),
    keys: [pair],
    asked: [],
    inner: [],
    answer: () => undefined,
  };
  const visit = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    const path = new URL(request.url).pathname;
    world.asked.push(path);
    const instead = world.answer(path);
    if (instead !== undefined) return instead;
    // To be kept for a while, as the relay says too.
    if (path === "/directory")
      return new Response(world.directory, { headers: { "cache-control": "public, max-age=60" } });
    const body = copyBytes(new Uint8Array(await request.arrayBuffer()));
    return path === "/tokens" ? issueBatch(body) : answerSealed(world, body);
  };
  return { world, fetch: visit };
}

function issueBatch(body: Bytes): Response {
  const reader = new ByteReader(body);
  const count = reader.u16();
  const writer = new ByteWriter().u16(count);
  for (let index = 0; index < count; index += 1) writer.vector(2, issue(issuerKey, reader.vector(2, 512)));
  return new Response(writer.finish());
}

/** The gateway: 401 for a key that it does not have, and of what it can open, that no node is there. */
async function answerSealed(world: World, body: Bytes): Promise<Response> {
  const keys = await createGatewayKeys(world.keys);
  try {
    const { content, sealResponse } = await decapsulateRequest(keys, body);
    world.inner.push(parseRequest(content));
    const answer = serializeResponse({ status: 502, headers: [], content: new Uint8Array(), trailers: [] });
    return new Response(sealResponse(answer, systemRandom), {
      headers: { "content-type": mediaTypes.response },
    });
  } catch {
    return Response.json({ code: "gateway-refused" }, { status: 401 });
  }
}

/** Settings that know this log; nothing here gets as far as evidence. */
export const trust: TrustSettings = {
  platform: {
    generations: ["turin"],
    minimumTcb: { turin: { snp: 1 } },
    vmpl: 0,
    allowVlek: false,
    allowSmt: true,
    requireAliasCheck: true,
  },
  log: [`log ${serializeVerifier(log)}`, `witness w ${serializeVerifier(witness)}`, "quorum w", ""].join(
    "\n",
  ),
  maxProofAgeMs: 3_600_000,
  minimumSecurityVersion: 1,
  simulatedRoot: encodeBase64(new Uint8Array(1)),
};
export const policy = developmentPolicy(trust);
