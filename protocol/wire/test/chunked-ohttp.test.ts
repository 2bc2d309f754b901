import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bytes, concatBytes, decodeHex, encodeHex, encodeUtf8, systemRandom } from "@sotto/base";
import { encapsulateChunkedRequest, kemId, WireError } from "@sotto/wire";
import { createGatewayKeys, decapsulateChunkedRequest, generateKeyPair } from "@sotto/wire/gateway";
import fc from "fast-check";
import { hpkeSuite } from "../src/ohttp/client.ts";
import { requestHeader } from "../src/ohttp/key-config.ts";
import { chunkedLabels, requestInfo } from "../src/ohttp/labels.ts";

async function chunkedExchange(chunks: readonly Uint8Array[], cut: number) {
  const pair = await generateKeyPair(1, kemId.x25519);
  const keys = await createGatewayKeys([pair]);
  const client = await encapsulateChunkedRequest(pair.config);
  const opener = decapsulateChunkedRequest(keys);
  await opener.push(concatBytes(client.header, await client.sealFinal(encodeUtf8("q"))));
  assert.deepEqual(await opener.finish(), encodeUtf8("q"));
  const sealer = opener.createResponseSealer(systemRandom);
  const bytes = concatBytes(
    sealer.header,
    ...chunks.map((chunk) => sealer.seal(chunk)),
    sealer.sealFinal(new Uint8Array()),
  );
  const answer = client.createResponseOpener();
  const opened: Bytes[] = [];
  for (let offset = 0; offset < bytes.length; offset += cut) {
    opened.push(...(await answer.push(bytes.slice(offset, offset + cut))));
  }
  return { client, bytes, opened, answer, sealer };
}

test("chunked responses arrive whole however they are cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 }),
      fc.integer({ min: 1, max: 200 }),
      async (chunks, cut) => {
        const { opened, answer } = await chunkedExchange(chunks, cut);
        await answer.finish();
        // Empty chunks are not sent: only the final one may be empty.
        assert.deepEqual(opened.map(encodeHex), chunks.filter(({ length }) => length > 0).map(encodeHex));
        await assert.rejects(answer.push(new Uint8Array(1)), { code: "out-of-order" });
        await assert.rejects(answer.finish(), { code: "out-of-order" });
      },
    ),
    { numRuns: 30 },
  );
});

test("chunks of any size the draft asks for arrive, byte by byte, with lengths of any width", async () => {
  const text = new Uint8Array(20_000).fill(7);
  const { client, bytes } = await chunkedExchange([text], 100_000);
  assert.equal(encodeHex(bytes.slice(16, 20)), "80004e30"); // 20 000 + 16
  const length = decodeHex("c000000000004e30");
  const body = bytes.slice(16 + 4);
  const opener = client.createResponseOpener();
  const opened: Bytes[] = [];
  for (const byte of concatBytes(bytes.slice(0, 16), length, body)) {
    opened.push(...(await opener.push(new Uint8Array([byte]))));
  }
  await opener.finish();
  assert.deepEqual(opened, [text]);
});

test("a chunked response cut anywhere, reordered, repeated or flipped is refused", async () => {
  const chunks = [encodeUtf8("first"), encodeUtf8("second")];
  const { client, bytes, sealer } = await chunkedExchange(chunks, 1000);
  assert.throws(() => sealer.seal(encodeUtf8("late")), { code: "out-of-order" });
  const read = async (input: Bytes): Promise<void> => {
    const opener = client.createResponseOpener();
    await opener.push(input);
    await opener.finish();
  };
  await read(bytes);
  for (let index = 0; index < bytes.length; index += 1) {
    await assert.rejects(read(bytes.slice(0, index)), WireError, `cut at ${index}`);
    const changed = bytes.slice();
    changed[index] = (changed[index] ?? 0) ^ 1;
    await assert.rejects(read(changed), WireError, `flipped at ${index}`);
  }
  const first = bytes.slice(16, 16 + 1 + 5 + 16);
  const second = bytes.slice(38, 38 + 1 + 6 + 16);
  const final = bytes.slice(61);
  for (const order of [[second, first, final], [first, first, second, final], [second, final], [final]]) {
    await assert.rejects(read(concatBytes(bytes.slice(0, 16), ...order)), { code: "decryption-failed" });
  }
});

test("parallel calls never use a nonce twice, and are worked off in order", async () => {
  for (const kem of Object.values(kemId)) {
    const pair = await generateKeyPair(1, kem);
    const keys = await createGatewayKeys([pair]);
    const client = await encapsulateChunkedRequest(pair.config);
    const same = encodeUtf8("the same text every time");
    const sealed = await Promise.all(Array.from({ length: 20 }, () => client.seal(same)));
    const last = await client.sealFinal(same);
    assert.equal(new Set(sealed.map(encodeHex)).size, 20);
    await assert.rejects(client.seal(same), { code: "out-of-order" });
    await assert.rejects(client.sealFinal(same), { code: "out-of-order" });

    const opener = decapsulateChunkedRequest(keys);
    assert.throws(() => opener.createResponseSealer(systemRandom), { code: "out-of-order" });
    const pieces = [client.header, ...sealed, last];
    const pushed = Promise.all(pieces.map((bytes) => opener.push(bytes)));
    const finished = opener.finish();
    assert.deepEqual((await pushed).flat(), Array(20).fill(same));
    assert.deepEqual(await finished, same);

    const sealer = opener.createResponseSealer(systemRandom);
    const answers = Array.from({ length: 20 }, () => sealer.seal(same));
    assert.equal(new Set(answers.map(encodeHex)).size, 20);
    const other = opener.createResponseSealer(systemRandom);
    assert.notDeepEqual(other.seal(same), answers[0]);
    const response = client.createResponseOpener();
    const read = Promise.all(
      [sealer.header, ...answers, sealer.sealFinal(same)].map((bytes) => response.push(bytes)),
    );
    const end = response.finish();
    assert.deepEqual((await read).flat(), Array(20).fill(same));
    assert.deepEqual(await end, same);
  }
});

test("a chunk without content is refused unless it is the final one", async () => {
  const pair = await generateKeyPair(1, kemId.x25519);
  const keys = await createGatewayKeys([pair]);
  const header = requestHeader(1, kemId.x25519);
  const suite = hpkeSuite(kemId.x25519);
  const recipient = await suite.DeserializePublicKey(pair.config.publicKey);
  const { encapsulatedSecret, ctx } = await suite.SetupSender(recipient, {
    info: requestInfo(chunkedLabels, header),
  });
  const empty = await ctx.Seal(new Uint8Array());
  const opener = decapsulateChunkedRequest(keys);
  await opener.push(concatBytes(header, encapsulatedSecret));
  await assert.rejects(opener.push(concatBytes(decodeHex("10"), empty)), { code: "decryption-failed" });
  await assert.rejects(opener.finish(), { code: "out-of-order" });

  const client = await encapsulateChunkedRequest(pair.config);
  const nothing = await client.seal(new Uint8Array());
  assert.equal(nothing.length, 0);
  const again = decapsulateChunkedRequest(keys);
  await again.push(concatBytes(client.header, nothing, await client.sealFinal(new Uint8Array())));
  assert.deepEqual(await again.finish(), new Uint8Array());
});

test("endless input is bounded", async () => {
  const pair = await generateKeyPair(1, kemId.x25519);
  const client = await encapsulateChunkedRequest(pair.config);
  const opener = decapsulateChunkedRequest(await createGatewayKeys([pair]));
  await opener.push(concatBytes(client.header, decodeHex("00")));
  const block = new Uint8Array(256 * 1024);
  await assert.rejects(
    async () => {
      for (let index = 0; index < 100; index += 1) await opener.push(block);
    },
    { code: "too-large" },
  );
});
