import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bytes, concatBytes, systemRandom } from "@sotto/base";
import fc from "fast-check";
import { parseAttestRequest, serializeAttestRequest } from "../src/attest-request.ts";
import { type Frame, FrameParser, type FrameType, frameType, serializeFrame } from "../src/frame.ts";
import { RatlsError, type RatlsErrorCode } from "../src/ratls-error.ts";
import { rawFrame } from "./peer.ts";

const limitOf: Readonly<Record<FrameType, number>> = {
  1: 33,
  2: 256 * 1024,
  3: 1024 * 1024,
  4: 64 * 1024,
  5: 64,
  6: 64,
  7: 0,
};
const types = Object.values(frameType);

function parser(...expected: FrameType[]): FrameParser {
  const created = new FrameParser();
  created.expect(expected);
  return created;
}

function refuses(code: RatlsErrorCode, run: () => unknown): void {
  assert.throws(run, (error: unknown) => error instanceof RatlsError && error.code === code, code);
}

test("a frame is type, two lengths, content and zeros", () => {
  const bytes = serializeFrame(frameType.request, Uint8Array.of(0xaa, 0xbb), 5);
  assert.equal(Buffer.from(bytes).toString("hex"), "030000000200000003aabb000000");
  assert.equal(
    Buffer.from(serializeFrame(frameType.end, new Uint8Array())).toString("hex"),
    "050000000000000000",
  );
});

test("what is written is read, however it is cut", () => {
  const pieces = fc.array(fc.tuple(fc.uint8Array({ maxLength: 200 }), fc.nat(300)), { maxLength: 5 });
  fc.assert(
    fc.property(
      pieces,
      fc.uint8Array({ maxLength: 64 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      (list, last, cuts) => {
        const bytes = concatBytes(
          ...list.map(([content, padTo]) => serializeFrame(frameType.response, content, padTo)),
          serializeFrame(frameType.error, last, 64),
        );
        const reading = parser(frameType.response, frameType.error);
        const found: Frame[] = [];
        const ends = cuts.map((cut) => cut % (bytes.length + 1)).sort((left, right) => left - right);
        for (const [index, end] of [...ends, bytes.length].entries()) {
          found.push(...reading.push(bytes.subarray(ends[index - 1] ?? 0, end)));
        }
        assert.deepEqual(found, [
          ...list.map(([content]) => ({ type: frameType.response, content: new Uint8Array(content) })),
          { type: frameType.error, content: new Uint8Array(last) },
        ]);
      },
    ),
  );
});

test("every length from nothing to whole gives no frame, and any byte changed gives none or the same content", () => {
  const content = systemRandom(40);
  const bytes = serializeFrame(frameType.request, content, 64);
  for (let length = 0; length < bytes.length; length += 1) {
    assert.deepEqual(parser(frameType.request).push(bytes.subarray(0, length)), []);
  }
  for (let index = 0; index < bytes.length; index += 1) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const changed = bytes.slice();
      changed[index] = (changed[index] ?? 0) ^ flip;
      try {
        for (const frame of parser(frameType.request).push(changed)) {
          assert.equal(frame.type, frameType.request);
          assert.notDeepEqual(frame.content, content, `byte ${index} does not matter`);
        }
      } catch (error) {
        assert.ok(error instanceof RatlsError, `byte ${index}`);
      }
    }
  }
});

test("random bytes give frames or RatlsError, nothing else", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 8 }),
      fc.subarray(types),
      (pieces, expected) => {
        const reading = parser(...expected);
        try {
          for (const bytes of pieces) reading.push(bytes);
        } catch (error) {
          assert.ok(error instanceof RatlsError);
        }
      },
    ),
  );
});

test("a limit is a limit on content and padding together, to the byte, before anything of it is read", () => {
  for (const type of types) {
    const limit = limitOf[type];
    assert.equal(serializeFrame(type, new Uint8Array(limit)).length, 9 + limit);
    refuses("too-large", () => serializeFrame(type, new Uint8Array(limit + 1)));
    refuses("too-large", () => serializeFrame(type, new Uint8Array(), limit + 1));
    assert.equal(parser(type).push(rawFrame(type, new Uint8Array(limit)))[0]?.content.length, limit);
    const half = Math.floor(limit / 2);
    const head = (content: number, padding: number) => {
      const bytes = rawFrame(type, new Uint8Array()).subarray(0, 9);
      bytes.writeUInt32BE(content, 1);
      bytes.writeUInt32BE(padding, 5);
      return bytes;
    };
    for (const [content, padding] of [
      [limit + 1, 0],
      [0, limit + 1],
      [half, limit - half + 1],
      [0xffffffff, 0],
      [0, 0xffffffff],
      [0xffffffff, 0xffffffff],
    ] as const) {
      refuses("too-large", () => parser(type).push(head(content, padding)));
    }
  }
});

test("padding is zeros", () => {
  for (const index of [0, 15, 31]) {
    const padding = new Uint8Array(32);
    padding[index] = 1;
    refuses("malformed", () =>
      parser(frameType.request).push(rawFrame(frameType.request, systemRandom(4), padding)),
    );
  }
});

test("types that are unknown or not expected are refused at their first byte", () => {
  for (let type = 0; type < 256; type += 1) {
    const known = types.some((candidate) => candidate === type);
    refuses(known ? "out-of-order" : "unknown-frame", () => new FrameParser().push(Uint8Array.of(type)));
    if (!known) refuses("unknown-frame", () => parser(...types).push(Uint8Array.of(type)));
  }
});

test("one frame is expected, except of answers", () => {
  for (const type of types) {
    const frame = serializeFrame(type, new Uint8Array());
    const twice = () => parser(...types).push(concatBytes(frame, frame));
    if (type === frameType.response) assert.equal(twice().length, 2);
    else refuses("out-of-order", twice);
  }
  const reading = parser(frameType.response, frameType.end);
  reading.push(serializeFrame(frameType.response, new Uint8Array()));
  assert.ok(reading.isExpecting);
  reading.push(serializeFrame(frameType.end, new Uint8Array()));
  assert.ok(!reading.isExpecting);
});

test("what follows is expected in its turn, and not before", () => {
  const frame = (type: FrameType) => serializeFrame(type, new Uint8Array());
  const begin = () => {
    const reading = new FrameParser();
    reading.expect([frameType.attestResponse, frameType.error], [frameType.attestRequest]);
    return reading;
  };
  const [evidence, request] = [frame(frameType.attestResponse), frame(frameType.attestRequest)];
  assert.deepEqual(
    begin()
      .push(concatBytes(evidence, request))
      .map(({ type }) => type),
    [frameType.attestResponse, frameType.attestRequest],
  );
  for (const wrong of [[request], [evidence, evidence], [evidence, request, request], [evidence, frame(7)]])
    refuses("out-of-order", () => begin().push(concatBytes(...wrong)));
});

test("evidence may come between the pieces of an answer where it is asked for, once", () => {
  const frame = (type: FrameType) => serializeFrame(type, new Uint8Array());
  const { response, attestResponse, end } = frameType;
  const allowed = [response, attestResponse, response, end].map(frame);
  assert.equal(parser(response, end, attestResponse).push(concatBytes(...allowed)).length, 4);
  const twice = concatBytes(...[response, attestResponse, attestResponse].map(frame));
  refuses("out-of-order", () => parser(response, end, attestResponse).push(twice));
  refuses("out-of-order", () => parser(response, end).push(concatBytes(...allowed)));
});

test("memory follows what has arrived, not what was announced", () => {
  const head = Uint8Array.of(frameType.request, 0, 0x10, 0, 0, 0, 0, 0, 0, 0xaa); // 1 MiB, of which one byte
  const before = process.memoryUsage().arrayBuffers;
  const waiting = Array.from({ length: 64 }, () => {
    const reading = parser(frameType.request);
    assert.deepEqual(reading.push(head), []);
    return reading;
  });
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 4 * 1024 * 1024, `${grown} bytes for ${waiting.length} frames that have hardly begun`);
});

test("a drip of single bytes is taken in", () => {
  const bytes = serializeFrame(frameType.attestResponse, systemRandom(32 * 1024), 48 * 1024);
  const reading = parser(frameType.attestResponse);
  const found = [...bytes].flatMap((byte) => reading.push(Uint8Array.of(byte)));
  assert.deepEqual(found, [{ type: frameType.attestResponse, content: bytes.slice(9, 9 + 32 * 1024) }]);
});

test("an attest request is a version and a nonce, nothing less or more", () => {
  const nonce = systemRandom(32);
  const request: Bytes = serializeAttestRequest(nonce);
  assert.equal(Buffer.from(request).toString("hex"), `01${Buffer.from(nonce).toString("hex")}`);
  assert.deepEqual(parseAttestRequest(request), nonce);
  for (const bad of [
    request.slice(0, 1),
    request.slice(0, 32),
    concatBytes(request, Uint8Array.of(0)),
    new Uint8Array(),
  ]) {
    refuses("malformed", () => parseAttestRequest(bad));
  }
  for (const version of [0, 2, 0xff]) {
    refuses("malformed", () => parseAttestRequest(concatBytes(Uint8Array.of(version), nonce)));
  }
});
