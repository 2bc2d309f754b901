// The gateway's work for one request, decapsulate 1 KiB and seal a response of 1 KiB, against the part of
// it that cannot be avoided: importing the client's X25519 share and agreeing on a secret.
import { createPrivateKey, createPublicKey, diffieHellman } from "node:crypto";
import { type Bytes, concatBytes, encodeUtf8, systemRandom } from "@sotto/base";
import { encapsulateRequest, kemId } from "@sotto/wire";
import { createGatewayKeys, decapsulateRequest, generateKeyPair } from "@sotto/wire/gateway";
import * as hpke from "hpke";
import type { BenchReport } from "./report.ts";
import { measureRounds, type RoundOptions, ratioOf, spreadOf } from "./rounds.ts";

const headerLength = 7;
const encLength = 32;
const nk = 16;
const nn = 12;

/** Rate of the gateway per core against raw import and agreement, and against the same through `hpke`. */
export async function benchOhttp(options: RoundOptions): Promise<BenchReport> {
  const pair = await generateKeyPair(1, kemId.x25519);
  const keys = await createGatewayKeys([pair]);
  const content = systemRandom(1024);
  const answer = systemRandom(1024);
  const { request, openResponse } = await encapsulateRequest(pair.config, content);

  const privateKey = createPrivateKey({
    key: Buffer.from(pair.privateKey),
    format: "raw-private",
    asymmetricKeyType: "x25519",
  });
  const share = Buffer.from(request.subarray(headerLength, headerLength + encLength));
  // Raw bytes are the fastest of the forms that a key can be imported from.
  const importShare = () =>
    createPublicKey({ key: share, format: "raw-public", asymmetricKeyType: "x25519" });
  const raw = () => diffieHellman({ privateKey, publicKey: importShare() });
  const direct = async () => (await decapsulateRequest(keys, request)).sealResponse(answer, systemRandom);
  const peer = await createPeer(pair.privateKey, pair.config.publicKey, request, answer);
  for (const response of [await direct(), await peer()]) await openResponse(response);

  const [agreement, opening, exchange, packaged] = await measureRounds(
    [
      { name: "import and agree (raw X25519)", run: raw },
      { name: "decapsulate 1 KiB", run: () => decapsulateRequest(keys, request) },
      { name: "decapsulate 1 KiB, seal 1 KiB", run: direct },
      { name: "the same through the hpke package", run: peer },
    ],
    options,
  );
  if (!agreement || !opening || !exchange || !packaged) throw new Error("nothing was measured");
  return {
    bench: "ohttp",
    rounds: options.rounds,
    rows: [agreement, opening, exchange, packaged].flatMap(({ name, wallUs, cpuUs }) => [
      { name, unit: "us of CPU a call", value: spreadOf(cpuUs) },
      { name: "", unit: "us of wall time", value: spreadOf(wallUs) },
    ]),
    goals: [
      {
        name: "exchange per core / raw X25519",
        value: ratioOf(agreement.cpuUs, exchange.cpuUs),
        atLeast: 0.45,
        stretch: 0.6,
      },
      {
        name: "exchange per core / hpke package",
        value: ratioOf(packaged.cpuUs, exchange.cpuUs),
        atLeast: 5,
        stretch: 10,
      },
    ],
  };
}

/** A gateway that does all its HPKE through the `hpke` package (RFC 9458 Section 4.4). */
async function createPeer(
  privateKey: Bytes,
  publicKey: Bytes,
  request: Bytes,
  answer: Bytes,
): Promise<() => Promise<Bytes>> {
  const suite = new hpke.CipherSuite(
    hpke.KEM_DHKEM_X25519_HKDF_SHA256,
    hpke.KDF_HKDF_SHA256,
    hpke.AEAD_AES_128_GCM,
  );
  const kdf = hpke.KDF_HKDF_SHA256();
  const aead = hpke.AEAD_AES_128_GCM();
  const keyPair = {
    privateKey: await suite.DeserializePrivateKey(privateKey),
    publicKey: await suite.DeserializePublicKey(publicKey),
  };
  const info = concatBytes(
    encodeUtf8("message/bhttp request"),
    new Uint8Array(1),
    request.subarray(0, headerLength),
  );
  const label = encodeUtf8("message/bhttp response");
  return async () => {
    const enc = request.subarray(headerLength, headerLength + encLength);
    const context = await suite.SetupRecipient(keyPair, enc, { info });
    await context.Open(request.subarray(headerLength + encLength));
    const secret = await context.Export(label, nk);
    const responseNonce = systemRandom(nk);
    const prk = await kdf.Extract(concatBytes(enc, responseNonce), secret);
    const key = await kdf.Expand(prk, encodeUtf8("key"), nk);
    const nonce = await kdf.Expand(prk, encodeUtf8("nonce"), nn);
    return concatBytes(responseNonce, await aead.Seal(key, nonce, new Uint8Array(), answer));
  };
}
