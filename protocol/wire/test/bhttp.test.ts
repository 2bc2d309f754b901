import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, decodeHex, encodeHex, encodeUtf8 } from "@sotto/base";
import {
  type BinaryRequest,
  parseRequest,
  parseResponse,
  type ResponseEvent,
  ResponseParser,
  ResponseSerializer,
  serializeIndeterminateRequest,
  serializeRequest,
  serializeResponse,
  WireError,
} from "@sotto/wire";
import fc from "fast-check";
import { readJsonVector, vectorsMissing } from "../../../tests/vectors.ts";

type Vector = { name: string; bhttp: string };

const request: BinaryRequest = {
  method: "POST",
  scheme: "https",
  authority: "node.sotto.invalid",
  path: "/sessions",
  headers: [["content-type", "text/plain"]],
  content: encodeUtf8("hello"),
  trailers: [["x-end", "1"]],
};

/** Reads a response in pieces of one size. */
function stream(bytes: Uint8Array<ArrayBuffer>, size: number): ResponseEvent[] {
  const parser = new ResponseParser();
  const events: ResponseEvent[] = [];
  for (let offset = 0; offset < bytes.length; offset += size) {
    events.push(...parser.push(bytes.slice(offset, offset + size)));
  }
  return [...events, ...parser.finish()];
}

function contentOf(events: readonly ResponseEvent[]): Uint8Array {
  return concatBytes(...events.map((event) => (event.type === "content" ? event.bytes : new Uint8Array())));
}

test("RFC 9292 examples parse and re-serialise; the must-reject ones are refused", {
  skip: vectorsMissing,
}, () => {
  const vectors = readJsonVector<Vector[]>("bhttp", "rfc9292-examples.json");
  const outcomes = vectors.map(({ bhttp }, index) => {
    const bytes = decodeHex(bhttp);
    const rejected = index >= vectors.length - 2;
    if (rejected) {
      assert.throws(
        () => (bytes[0] === 0 || bytes[0] === 2 ? parseRequest(bytes) : parseResponse(bytes)),
        WireError,
      );
      assert.throws(() => stream(bytes, 1), WireError);
      return "rejected";
    }
    if (bytes[0] === 0) {
      const parsed = parseRequest(bytes);
      // One example leaves out the empty sections at its end.
      assert.ok(encodeHex(serializeRequest(parsed, { padTo: bytes.length })).startsWith(bhttp));
      return "request";
    }
    if (bytes[0] === 2) {
      const parsed = parseRequest(bytes);
      assert.ok(bhttp.startsWith(encodeHex(serializeIndeterminateRequest(parsed))));
      return "request";
    }
    const parsed = parseResponse(bytes);
    for (const size of [1, 7, bytes.length]) {
      const events = stream(bytes, size);
      assert.deepEqual(contentOf(events), parsed.content);
      const head = events.find((event) => event.type === "head");
      assert.deepEqual(head?.type === "head" && head.headers, parsed.headers);
      assert.equal(
        events.filter(({ type }) => type === "informational").length,
        parsed.informational?.length,
      );
    }
    if (bytes[0] === 1) assert.ok(encodeHex(serializeResponse(parsed)).startsWith(bhttp));
    return "response";
  });
  assert.deepEqual(new Set(outcomes), new Set(["request", "response", "rejected"]));
});

test("requests round-trip in both forms and with padding", () => {
  assert.deepEqual(parseRequest(serializeRequest(request)), request);
  assert.deepEqual(parseRequest(serializeIndeterminateRequest(request)), request);
  const padded = serializeRequest(request, { padTo: 300 });
  assert.equal(padded.length, 300);
  assert.deepEqual(parseRequest(padded), request);
  padded[299] = 1;
  assert.throws(() => parseRequest(padded), { code: "trailing-bytes" });
});

test("whatever is cut, flipped or random either parses or is a WireError, and what parses round-trips", () => {
  const known = serializeRequest(request);
  const indeterminate = serializeIndeterminateRequest(request);
  const attempt = (bytes: Uint8Array<ArrayBuffer>): void => {
    try {
      const parsed = parseRequest(bytes);
      assert.deepEqual(parseRequest(serializeRequest(parsed)), parsed);
    } catch (error) {
      assert.ok(error instanceof WireError, String(error));
    }
  };
  for (const bytes of [known, indeterminate]) {
    for (let index = 0; index < bytes.length; index += 1) {
      attempt(bytes.slice(0, index));
      for (const flip of [1, 0x40, 0x80, 0xff]) {
        const changed = bytes.slice();
        changed[index] = (changed[index] ?? 0) ^ flip;
        attempt(changed);
      }
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.integer({ min: 0, max: 3 }), (tail, kind) => {
      const bytes = concatBytes(new Uint8Array([kind]), tail);
      attempt(bytes);
      for (const parse of [() => parseResponse(bytes), () => stream(bytes, 3)]) {
        try {
          parse();
        } catch (error) {
          assert.ok(error instanceof WireError, String(error));
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test("streamed and whole parsing agree on every cut of a response", () => {
  const serializer = new ResponseSerializer();
  const bytes = concatBytes(
    serializer.head(200, [["content-type", "text/event-stream"]]),
    serializer.content(encodeUtf8("data: one\n\n")),
    serializer.content(new Uint8Array()),
    serializer.content(encodeUtf8("data: two\n\n")),
    serializer.end([["x-end", "1"]]),
  );
  for (let length = 0; length <= bytes.length; length += 1) {
    const cut = bytes.slice(0, length);
    let whole: Uint8Array | string;
    let streamed: Uint8Array | string;
    try {
      whole = parseResponse(cut).content;
    } catch (error) {
      whole = error instanceof WireError ? error.code : "bug";
    }
    try {
      streamed = contentOf(stream(cut, 5));
    } catch (error) {
      streamed = error instanceof WireError ? error.code : "bug";
    }
    assert.deepEqual(streamed, whole, `cut at ${length}`);
    // Content arrives whole or not at all: what may be cut off are sections at the end.
    if (typeof whole !== "string") assert.ok([0, 22].includes(whole.length), `cut at ${length}`);
  }
  assert.throws(() => serializer.content(encodeUtf8("late")), { code: "out-of-order" });
});

test("a request names one target, once", () => {
  const refused: Partial<BinaryRequest>[] = [
    { method: "" },
    { method: "GET /" },
    { scheme: "" },
    { scheme: "HTTPS" },
    { authority: "user@node.sotto.invalid" },
    { authority: "node/" },
    { path: "" },
    { path: "sessions" },
    { path: "/a b" },
    { path: "/#a" },
    { path: "*" },
    { method: "CONNECT" },
    { headers: [["host", "other.sotto.invalid"]] },
    { headers: [["content-length", "4"]] },
    { headers: [["content-length", "05"]] },
  ];
  const accepted: Partial<BinaryRequest>[] = [
    { method: "OPTIONS", path: "*" },
    { method: "CONNECT", scheme: "", path: "", authority: "node.sotto.invalid:443" },
    { headers: [["host", "Node.sotto.invalid"]] },
    { headers: [["content-length", "5"]] },
    { authority: "", headers: [["host", "node.sotto.invalid"]] },
    { authority: "[::1]:8443" },
  ];
  const honest = request;
  for (const change of refused) {
    const bad = { ...honest, ...change };
    assert.throws(() => serializeRequest(bad), { code: "malformed" }, JSON.stringify(change));
    assert.throws(() => serializeIndeterminateRequest(bad), { code: "malformed" });
  }
  for (const change of accepted) {
    const good = { ...honest, ...change };
    assert.deepEqual(parseRequest(serializeRequest(good)), good, JSON.stringify(change));
  }
  // The parser refuses on its own what the serialiser would not write.
  const bytes = serializeRequest({ ...honest, authority: "node-sotto.invalid" });
  bytes[bytes.indexOf(0x2d)] = 0x40;
  assert.throws(() => parseRequest(bytes), { code: "malformed" });
});

test("framing: other indicators, statuses and lengths across a section are refused", () => {
  for (const hex of ["04", "4004", "3f", "0140c7", "014258", "0164", "0140c80661"]) {
    const bytes = decodeHex(hex);
    assert.throws(() => parseResponse(bytes), WireError, hex);
    assert.throws(() => stream(bytes, 1), WireError, hex);
  }
  // Lengths may be wider than they need be (RFC 9000 Section 16).
  assert.equal(parseResponse(decodeHex("4001800000c8400040004000")).status, 200);
  // A line that leaves its section is refused at once, not waited for.
  const crossing = decodeHex("0140c80361056d");
  assert.throws(() => new ResponseParser().push(crossing), { code: "malformed" });
});

test("a streamed response that failed or ended takes nothing more", () => {
  const failed = new ResponseParser();
  assert.throws(() => failed.push(decodeHex("04")), { code: "malformed" });
  assert.throws(() => failed.push(decodeHex("0140c8")), { code: "out-of-order" });
  assert.throws(() => failed.finish(), { code: "out-of-order" });
  const ended = new ResponseParser();
  ended.push(decodeHex("0140c8"));
  assert.deepEqual(
    ended.finish().map(({ type }) => type),
    ["head", "end"],
  );
  assert.throws(() => ended.push(decodeHex("00")), { code: "out-of-order" });
  const padded = new ResponseParser();
  padded.push(decodeHex("0140c8000000"));
  padded.push(new Uint8Array(5000));
  assert.throws(() => padded.push(decodeHex("01")), { code: "trailing-bytes" });
});

test("limits and forbidden fields", () => {
  const refused: [string, string][] = [
    ["Upper", "x"],
    [":path", "x"],
    ["connection", "close"],
    ["transfer-encoding", "chunked"],
    ["te", "trailers"],
    [":status", "200"],
    ["", "x"],
    ["a b", "x"],
    ["a", "x\r\ny: z"],
    ["a", " x"],
  ];
  for (const field of refused) {
    assert.throws(() => serializeRequest({ ...request, headers: [field] }), WireError, field[0]);
  }
  const many = Array.from({ length: 65 }, (_, index): [string, string] => [`h${index}`, ""]);
  assert.throws(() => parseRequest(serializeRequest({ ...request, headers: many })), { code: "too-large" });
  const limits = { maxFields: 4, maxSectionBytes: 64, maxContentBytes: 4, maxInformational: 1 };
  assert.throws(() => parseRequest(serializeRequest(request), limits), { code: "too-large" });
  const parser = new ResponseParser();
  const endless = new Uint8Array(16 * 1024).fill(0x41);
  assert.throws(() => {
    parser.push(decodeHex("0340c8"));
    for (let index = 0; index < 100; index += 1) parser.push(endless);
  }, WireError);
});
