import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import {
  type Bytes,
  concatBytes,
  decodeHex,
  encodeBase64Url,
  encodeHex,
  type Random,
  systemRandom,
} from "@sotto/base";
import {
  blind,
  CredentialError,
  challengeDigest,
  importIssuerPublicKey,
  parseAuthorization,
  parseChallenge,
  parseToken,
  parseTokenRequest,
  parseWwwAuthenticate,
  serializeAuthorization,
  serializeChallenge,
  serializeIssuerSpki,
  serializeToken,
  serializeWwwAuthenticate,
  verifyToken,
} from "@sotto/credentials";
import { blindSign, createIssuerKey, generateIssuerKey, issue } from "@sotto/credentials/issuer";
import fc from "fast-check";
import { readJsonVector, readVector, vectorsMissing } from "../../../tests/vectors.ts";
import { blindMessage } from "../src/blind.ts";

/** Gives exactly the random strings that a vector fixes, and fails when another length is asked for. */
function fixedRandom(...values: readonly Bytes[]): Random {
  const left = [...values];
  return (length) => {
    const next = left.shift();
    assert.equal(next?.length, length, "randomness of another length was drawn");
    return next ?? new Uint8Array();
  };
}

async function checkVector(field: (name: string) => string): Promise<void> {
  const key = await importIssuerPublicKey(decodeHex(field("pkS")));
  const challenge = parseChallenge(decodeHex(field("token_challenge")));
  assert.equal(encodeHex(serializeChallenge(challenge)), field("token_challenge"));
  const random = fixedRandom(decodeHex(field("nonce")), decodeHex(field("salt")), decodeHex(field("blind")));
  const blinded = blind(challenge, key, random);
  assert.equal(encodeHex(blinded.request), field("token_request"));
  const issuer = createIssuerKey(new TextDecoder().decode(decodeHex(field("skS"))));
  assert.equal(encodeHex(issuer.spki), field("pkS"));
  assert.equal(encodeHex(issue(issuer, blinded.request)), field("token_response"));
  const token = await blinded.finalize(decodeHex(field("token_response")));
  assert.equal(encodeHex(serializeToken(token)), field("token"));
  await verifyToken(parseToken(decodeHex(field("token"))), key, challengeDigest(challenge));
}

for (const source of ["public_rs.json", "public_go.json"]) {
  test(`RFC 9578 type 2, vectors of another implementation: ${source}`, {
    skip: vectorsMissing,
  }, async () => {
    const vectors = readJsonVector<Record<string, string>[]>(
      "privacypass",
      "raphaelrobert-privacypass",
      source,
    );
    assert.equal(vectors.length, 5);
    for (const vector of vectors) {
      await checkVector((name) => vector[name] ?? vector[name.replace("S", "_s")] ?? "");
    }
  });
}

test("RFC 9578 Appendix, issuance protocol 2", { skip: vectorsMissing }, async () => {
  const text = new TextDecoder().decode(readVector("privacypass", "rfc9578-appendix-vectors.txt"));
  const vectors = text.slice(text.indexOf("## Issuance Protocol 2")).split("// Test vector ").slice(1);
  assert.ok(vectors.length >= 5);
  for (const vector of vectors) {
    await checkVector((name) => {
      const [, value = ""] = new RegExp(`\\n${name}:((?:\\s*[0-9a-f]+(?=\\s))+)`).exec(vector) ?? [];
      return value.replace(/\s/g, "");
    });
  }
});

test("RFC 9474 Appendix A: blinding, signing and unblinding, with the salt of 48 bytes", {
  skip: vectorsMissing,
}, async () => {
  type BlindVector = Record<
    "name" | "n" | "d" | "p" | "q" | "input_msg" | "salt" | "inv" | "blinded_msg" | "blind_sig" | "sig",
    string
  >;
  const vectors = readJsonVector<BlindVector[]>("privacypass", "rfc9474", "test_vectors_rfc9474.json");
  const ours = vectors.filter(({ name }) => name.includes("-PSS-"));
  assert.equal(ours.length, 2);
  for (const vector of ours) {
    const [n, d, p, q, inverse] = [vector.n, vector.d, vector.p, vector.q, vector.inv].map(BigInt);
    assert.ok(n && d && p && q && inverse);
    const jwk = { kty: "RSA", n: encodeBase64Url(integer(n, 512)), e: "AQAB" };
    const algorithm = { name: "RSA-PSS", hash: "SHA-384" };
    const verifier = await crypto.subtle.importKey("jwk", jwk, algorithm, false, ["verify"]);
    const publicKey = { keyId: new Uint8Array(), spki: new Uint8Array(), modulus: n, verifier };
    const random = fixedRandom(decodeHex(vector.salt), integer(modularInverse(inverse, n), 512));
    const { blinded, unblind } = blindMessage(decodeHex(vector.input_msg), publicKey, random);
    assert.equal(encodeHex(blinded), vector.blinded_msg);
    const crt = { dp: d % (p - 1n), dq: d % (q - 1n), qi: modularInverse(q, p) };
    const privateJwk = {
      ...jwk,
      ...Object.fromEntries(
        Object.entries({ d, p, q, ...crt }).map(([name, value]) => [name, encodeBase64Url(integer(value))]),
      ),
    };
    const privateKey = createPrivateKey({ key: privateJwk, format: "jwk" });
    const signer = { ...publicKey, privateKey, publicKey: createPublicKey(privateKey) };
    const signed = blindSign(signer, blinded);
    assert.equal(encodeHex(signed), vector.blind_sig);
    assert.equal(encodeHex(await unblind(signed)), vector.sig);
  }
});

function integer(value: bigint, length = 0): Bytes {
  const hex = value.toString(16);
  return decodeHex(hex.padStart(Math.max(2 * length, hex.length + (hex.length % 2)), "0"));
}

function modularInverse(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [value % modulus, modulus, 1n, 0n];
  while (a > 1n) {
    const quotient = b / a;
    [b, a] = [a, b - quotient * a];
    [y, x] = [x, y - quotient * x];
  }
  return ((x % modulus) + modulus) % modulus;
}

const pair = generateIssuerKey();
const issuer = createIssuerKey(pair.privateKeyPem);
const key = await importIssuerPublicKey(pair.spki);
const challenge = {
  issuerName: "issuer.example",
  redemptionContext: new Uint8Array(),
  originInfo: "origin.example",
};

test("2: an answer that does not verify is discarded", async () => {
  const blinded = blind(challenge, key, systemRandom);
  const good = issue(issuer, blinded.request);
  for (let index = 0; index < good.length; index += 17) {
    const changed = good.slice();
    changed[index] = (changed[index] ?? 0) ^ 1;
    await assert.rejects(blinded.finalize(changed), { code: "bad-token-response" });
  }
  for (const length of [0, 255, 257]) {
    await assert.rejects(blinded.finalize(new Uint8Array(length)), { code: "bad-token-response" });
  }
  await verifyToken(await blinded.finalize(good), key, challengeDigest(challenge));
});

test("a token is good for its key, its challenge and its bytes only", async () => {
  const blinded = blind(challenge, key, systemRandom);
  const token = await blinded.finalize(issue(issuer, blinded.request));
  const digest = challengeDigest(challenge);
  const otherKey = await importIssuerPublicKey(generateIssuerKey().spki);
  await assert.rejects(verifyToken(token, otherKey, digest), { code: "unknown-key" });
  const otherDigest = challengeDigest({ ...challenge, originInfo: "elsewhere.example" });
  await assert.rejects(verifyToken(token, key, otherDigest), { code: "wrong-challenge" });
  const bytes = serializeToken(token);
  for (let index = 0; index < bytes.length; index += 1) {
    const changed = bytes.slice();
    changed[index] = (changed[index] ?? 0) ^ 0x10;
    await assert.rejects(
      async () => verifyToken(parseToken(changed), key, digest),
      CredentialError,
      `byte ${index}`,
    );
    assert.throws(() => parseToken(bytes.slice(0, index)), CredentialError);
  }
  assert.throws(() => parseToken(concatBytes(bytes, new Uint8Array(1))), CredentialError);
});

test("keys other than RSA-2048 with exponent 65537 in the one form are refused", async () => {
  for (const options of [
    { modulusLength: 3072, publicExponent: 65537 },
    { modulusLength: 2048, publicExponent: 3 },
  ]) {
    const { privateKey } = generateKeyPairSync("rsa", options);
    const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    assert.throws(() => createIssuerKey(pem), CredentialError);
  }
  assert.throws(() => createIssuerKey("not a key"), { code: "malformed" });
  for (let index = 0; index < 77; index += 1) {
    const changed = pair.spki.slice();
    changed[index] = (changed[index] ?? 0) ^ 0x80;
    await assert.rejects(importIssuerPublicKey(changed), CredentialError, `byte ${index}`);
    await assert.rejects(importIssuerPublicKey(pair.spki.slice(0, index)), CredentialError);
  }
  assert.throws(() => serializeIssuerSpki(new Uint8Array(256)), { code: "unsupported" });
  assert.throws(() => blindSign(issuer, new Uint8Array(256).fill(0xff)), { code: "malformed" });
});

test("headers and challenges round-trip, and anything else is a CredentialError", async () => {
  const blinded = blind(challenge, key, systemRandom);
  const token = await blinded.finalize(issue(issuer, blinded.request));
  const bytes = serializeToken(token);
  assert.deepEqual(parseAuthorization(serializeAuthorization(token)), bytes);
  assert.deepEqual(
    parseAuthorization(`PrivateToken token=${Buffer.from(bytes).toString("base64url")}`),
    bytes,
  );
  const offer = { challenge: serializeChallenge(challenge), tokenKey: pair.spki };
  assert.deepEqual(parseWwwAuthenticate(serializeWwwAuthenticate(offer)), offer);
  const bad = [
    "",
    "PrivateToken",
    "Bearer x",
    'PrivateToken token="a b"',
    'PrivateToken token="AA", token="AA"',
  ];
  for (const header of [...bad, `PrivateToken token="${"A".repeat(9000)}"`]) {
    assert.throws(() => parseAuthorization(header), CredentialError, header.slice(0, 40));
    assert.throws(() => parseWwwAuthenticate(header), CredentialError);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (data) => {
      for (const parse of [parseChallenge, parseToken, parseTokenRequest]) {
        try {
          parse(data);
        } catch (error) {
          assert.ok(error instanceof CredentialError, String(error));
        }
      }
    }),
  );
});
