// Tokens of type 0x0002 against another implementation, live: each end of ours with the other end of theirs.
import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { test } from "node:test";
import { publicVerif, TOKEN_TYPES, Token, TokenChallenge, util } from "@cloudflare/privacypass-ts";
import { type Bytes, copyBytes, decodeBase64Url, systemRandom } from "@sotto/base";
import {
  blind,
  challengeDigest,
  importIssuerPublicKey,
  parseToken,
  serializeChallenge,
  serializeIssuerSpki,
  serializeToken,
  verifyToken,
} from "@sotto/credentials";
import { createIssuerKey, issue } from "@sotto/credentials/issuer";

const { BlindRSAMode, Client, Issuer, Origin, TokenRequest, TokenResponse } = publicVerif;
const type = TOKEN_TYPES.BLIND_RSA;
const challenges = [
  { issuerName: "issuer.example", redemptionContext: new Uint8Array(), originInfo: "gateway.sotto.invalid" },
  { issuerName: "issuer.example", redemptionContext: systemRandom(32), originInfo: "" },
  { issuerName: "i", redemptionContext: new Uint8Array(32), originInfo: "one.example,two.example" },
];

const pair = await Issuer.generateKey(BlindRSAMode.PSS, {
  modulusLength: 2048,
  publicExponent: Uint8Array.from([1, 0, 1]),
});
const pem = webcrypto.subtle
  .exportKey("pkcs8", pair.privateKey)
  .then(
    (der) =>
      `-----BEGIN PRIVATE KEY-----\n${Buffer.from(der).toString("base64")}\n-----END PRIVATE KEY-----\n`,
  );
const ourIssuer = createIssuerKey(await pem);
const ourKey = await importIssuerPublicKey(ourIssuer.spki);
const theirIssuer = new Issuer(BlindRSAMode.PSS, "issuer.example", pair.privateKey, pair.publicKey);

function theirs(challenge: (typeof challenges)[number]): TokenChallenge {
  const { issuerName, redemptionContext, originInfo } = challenge;
  const origins = originInfo === "" ? [] : originInfo.split(",");
  return new TokenChallenge(type.value, issuerName, redemptionContext, origins);
}

const bytesOf = (array: Uint8Array): Bytes => copyBytes(array);

test("a key has one SubjectPublicKeyInfo, and one id", async () => {
  const spki = bytesOf(new Uint8Array(await webcrypto.subtle.exportKey("spki", pair.publicKey)));
  assert.deepEqual(bytesOf(util.convertEncToRSASSAPSS(spki)), ourIssuer.spki);
  const { n } = await webcrypto.subtle.exportKey("jwk", pair.publicKey);
  assert.deepEqual(serializeIssuerSpki(decodeBase64Url(n ?? "")), ourIssuer.spki);
  assert.deepEqual(bytesOf(await theirIssuer.tokenKeyID()), ourIssuer.keyId);
});

test("a challenge has the same bytes", () => {
  for (const challenge of challenges) {
    assert.deepEqual(bytesOf(theirs(challenge).serialize()), serializeChallenge(challenge));
  }
});

test("our client, their issuer: tokens that both accept", async () => {
  const origin = new Origin(BlindRSAMode.PSS, ["gateway.sotto.invalid"]);
  for (const challenge of challenges) {
    const { request, finalize } = blind(challenge, ourKey, systemRandom);
    const response = await theirIssuer.issue(TokenRequest.deserialize(type, request));
    const token = await finalize(bytesOf(response.serialize()));
    await verifyToken(token, ourKey, challengeDigest(challenge));
    const parsed = Token.deserialize(type, serializeToken(token));
    assert.ok(await origin.verify(parsed, pair.publicKey));
  }
});

test("their client, our issuer: tokens that both accept", async () => {
  const origin = new Origin(BlindRSAMode.PSS, ["gateway.sotto.invalid"]);
  for (const challenge of challenges) {
    const client = new Client(BlindRSAMode.PSS);
    const request = await client.createTokenRequest(theirs(challenge), ourIssuer.spki);
    const response = issue(ourIssuer, bytesOf(request.serialize()));
    const token = await client.finalize(TokenResponse.deserialize(response));
    assert.ok(await origin.verify(token, pair.publicKey));
    await verifyToken(parseToken(bytesOf(token.serialize())), ourKey, challengeDigest(challenge));
  }
});

test("both sign one blinded message alike", async () => {
  const [challenge] = challenges;
  assert.ok(challenge);
  const { request } = blind(challenge, ourKey, systemRandom);
  const response = await theirIssuer.issue(TokenRequest.deserialize(type, request));
  assert.deepEqual(bytesOf(response.serialize()), issue(ourIssuer, request));
});

test("neither accepts a token in which a bit has changed, nor an answer", async () => {
  const [challenge] = challenges;
  assert.ok(challenge);
  const origin = new Origin(BlindRSAMode.PSS, ["gateway.sotto.invalid"]);
  const { request, finalize } = blind(challenge, ourKey, systemRandom);
  const answer = issue(ourIssuer, request);
  const good = serializeToken(await finalize(answer));
  for (let index = 2; index < good.length; index += 13) {
    const bent = good.slice();
    bent[index] = (bent[index] ?? 0) ^ 1;
    await assert.rejects(async () => verifyToken(parseToken(bent), ourKey, challengeDigest(challenge)));
    assert.equal(await origin.verify(Token.deserialize(type, bent), pair.publicKey), false, `byte ${index}`);
  }
  const client = new Client(BlindRSAMode.PSS);
  await client.createTokenRequest(theirs(challenge), ourIssuer.spki);
  await assert.rejects(client.finalize(TokenResponse.deserialize(answer)), "an answer to another request");
  const other = blind(challenge, ourKey, systemRandom);
  await assert.rejects(other.finalize(answer), { code: "bad-token-response" });
});
