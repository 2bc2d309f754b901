import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bytes, concatBytes } from "@sotto/base";
import {
  type Message,
  MessageError,
  MessageParser,
  type MessageType,
  maxPiece,
  messageType,
  obstacles,
  outcomes,
  parseWord,
  refusals,
  type StreamName,
  serializeMessage,
  serializePieces,
  serializeWord,
  streamNames,
  streamOf,
} from "@sotto/sealed";
import fc from "fast-check";

const types = Object.values(messageType);
const limits: Readonly<Record<MessageType, number>> = {
  ...{ 1: maxPiece, 2: maxPiece, 3: maxPiece, 4: 0, 5: 0, 6: 0, 7: 2, 8: 1, 9: 0, 10: 4 },
  ...{ 11: 524_288, 12: 524_288, 13: 2, 14: 1, 15: 0, 16: 1 },
};
const head = (type: number, length: number): Bytes =>
  Uint8Array.of(type, length >> 16, (length >> 8) & 0xff, length & 0xff);
const refuses = (code: string) => (error: unknown) => error instanceof MessageError && error.code === code;

test("every kind comes through at its limit, and one byte more is refused where it is written and where it is read", () => {
  for (const type of types) {
    const limit = limits[type];
    for (const length of new Set([0, Math.min(1, limit), limit])) {
      const content = new Uint8Array(length).fill(type);
      const bytes = serializeMessage(type, content);
      assert.deepEqual(bytes, concatBytes(head(type, length), content));
      assert.deepEqual(new MessageParser([type]).push(bytes), [{ type, content }]);
    }
    assert.throws(() => serializeMessage(type, new Uint8Array(limit + 1)), refuses("too-large"));
    const parser = new MessageParser([type]);
    assert.throws(() => parser.push(head(type, limit + 1)), refuses("too-large"));
  }
});

test("what is of no kind, or of one that this end may not send, is refused at its head", () => {
  for (let type = 0; type <= 255; type += 1) {
    for (const accepted of types) {
      if (type === accepted) continue;
      const parser = new MessageParser([accepted]);
      assert.deepEqual(parser.push(head(type, 0).subarray(0, 3)), []);
      assert.throws(() => parser.push(Uint8Array.of(0)), refuses("unknown-message"));
    }
  }
});

test("after a refusal nothing is read, whatever comes, and what came in one piece with it is not either", () => {
  for (const bad of [head(messageType.ready, 4), head(messageType.assign, 0), head(99, 0)]) {
    const parser = new MessageParser([messageType.client, messageType.ready]);
    const good = serializeMessage(messageType.client, Uint8Array.of(1, 2, 3));
    assert.deepEqual(parser.push(good).length, 1);
    assert.throws(() => parser.push(concatBytes(good, bad)), MessageError);
    for (const more of [new Uint8Array(), good, Uint8Array.of(0), new Uint8Array(1000)])
      assert.throws(() => parser.push(more), MessageError);
  }
});

const message = fc
  .constantFrom(...types)
  .chain(
    (type): fc.Arbitrary<Message> =>
      fc
        .uint8Array({ maxLength: Math.min(limits[type], 2000) })
        .map((content) => ({ type, content: new Uint8Array(content) })),
  );

test("messages come out as they went in, however they are cut", () => {
  fc.assert(
    fc.property(fc.array(message), fc.infiniteStream(fc.integer({ min: 1, max: 40 })), (messages, sizes) => {
      const bytes = concatBytes(...messages.map(({ type, content }) => serializeMessage(type, content)));
      const parser = new MessageParser(types);
      const found: Message[] = [];
      for (let offset = 0; offset < bytes.length; ) {
        const size = sizes.next().value;
        found.push(...parser.push(bytes.subarray(offset, offset + size)));
        offset += size;
      }
      assert.deepEqual(found, messages);
    }),
  );
});

test("there is no message before its last byte, and its content stays as it was", () => {
  const content = new Uint8Array(10_000).map((_, index) => index % 251);
  const bytes = serializeMessage(messageType.attest, content);
  const parser = new MessageParser(types);
  for (let index = 0; index < bytes.length - 1; index += 1)
    assert.deepEqual(parser.push(bytes.subarray(index, index + 1)), []);
  const [found] = parser.push(bytes.subarray(-1));
  assert.deepEqual(found, { type: messageType.attest, content });
  parser.push(serializeMessage(messageType.attest, new Uint8Array(10_000)));
  bytes.fill(0);
  assert.deepEqual(found?.content, content, "neither the next message nor its sender can change it");
  assert.equal(found?.content.buffer.byteLength, content.length, "nothing else lies behind it");
});

test("any bytes are messages or a refusal, and nothing that is read is over its limit", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (pieces) => {
      const parser = new MessageParser(types);
      try {
        for (const piece of pieces) {
          for (const { type, content } of parser.push(piece)) assert.ok(content.length <= limits[type]);
        }
      } catch (error) {
        assert.ok(error instanceof MessageError);
      }
    }),
  );
});

test("memory follows what has come: a thousand heads that announce half a megabyte each take little", () => {
  const before = process.memoryUsage().arrayBuffers;
  const parsers = Array.from({ length: 1000 }, () => new MessageParser(types));
  for (const parser of parsers)
    parser.push(concatBytes(head(messageType.attest, 524_288), new Uint8Array(100)));
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 16 * 1024 * 1024, `${grown} bytes`);
  assert.equal(parsers.length, 1000);
});

test("a long piece is cut into messages of the longest length, and an empty one is a message too", () => {
  for (const name of streamNames) {
    for (const length of [0, 1, maxPiece - 1, maxPiece, maxPiece + 1, 3 * maxPiece, 3 * maxPiece + 7]) {
      const bytes = new Uint8Array(length).map((_, index) => index % 253);
      const messages = new MessageParser([messageType[name]]).push(
        concatBytes(...serializePieces(name, bytes)),
      );
      assert.equal(messages.length, Math.max(1, Math.ceil(length / maxPiece)));
      assert.deepEqual(concatBytes(...messages.map(({ content }) => content)), bytes);
    }
  }
});

test("streams and their ends are told apart from all else", () => {
  const expected: Partial<Record<MessageType, { name: StreamName; isEnd: boolean }>> = {
    1: { name: "client", isEnd: false },
    2: { name: "predictor", isEnd: false },
    3: { name: "guard", isEnd: false },
    4: { name: "client", isEnd: true },
    5: { name: "predictor", isEnd: true },
    6: { name: "guard", isEnd: true },
  };
  for (const type of types) assert.deepEqual(streamOf(type), expected[type]);
});

test("words are one byte, and a byte that stands for none is refused", () => {
  for (const list of [outcomes, obstacles, refusals]) {
    for (const [index, word] of list.entries()) {
      assert.deepEqual(serializeWord<string>(list, word), Uint8Array.of(index));
      assert.equal(parseWord<string>(list, index), word);
    }
    for (const byte of [undefined, list.length, 255])
      assert.throws(() => parseWord<string>(list, byte), refuses("malformed"));
  }
});
