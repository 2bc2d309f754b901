// Records in no good form, or in no good order (RFC 8446 Section 5).
import { concatBytes } from "@sotto/base";
import { keyUpdate } from "../hostile-messages.ts";
import { applicationData, contentTypes, type Item, type Script } from "../hostile-script.ts";
import {
  after,
  before,
  coalesce,
  cut,
  flip,
  isData,
  isHandshake,
  isPlain,
  isProtected,
  replace,
  reshape,
  saying,
} from "./steps.ts";
import type { Row } from "./table.ts";

const none = new Uint8Array();
const isFirst = (item: Item): boolean => isPlain(item) && isHandshake(item);
const shaped = (isMeant: (item: Item) => boolean, shape: Item["shape"]): Script => ({
  records: reshape(isMeant, (item) => [{ ...item, ...(shape && { shape }) }]),
});
const bent = (isMeant: (item: Item) => boolean, bend: NonNullable<Item["bend"]>): Script => ({
  records: reshape(isMeant, (item) => [{ ...item, bend }]),
});
const padded = (content: number, padding: number): Script => ({
  records: reshape(isData, (item) => [
    { ...item, content: new Uint8Array(content).fill(7), shape: { padding } },
  ]),
});
const empty = (item: Item): Item => ({ ...item, content: none });
const limit = 1 << 14;

/** Forms that a server may choose, which no client may refuse. */
export const harmless: readonly (readonly [what: string, script: Script])[] = [
  ["a record for every byte of every message", { records: reshape(isHandshake, (item) => cut(item, 1)) }],
  ["records of three bytes", { records: reshape(isHandshake, (item) => cut(item, 3)) }],
  ["all protected messages in one record", { records: coalesce }],
  [
    "messages that share records",
    { records: (items) => coalesce(items).flatMap((item) => (isProtected(item) ? cut(item, 97) : [item])) },
  ],
  ["padding on every record", shaped((item) => !isPlain(item), { padding: 500 })],
  ["a full record", padded(limit, 0)],
  ["a record full of padding, and one byte", padded(1, limit - 1)],
  [
    "the stream a byte at a time",
    {
      pieces: function* (records) {
        for (const record of records) for (const byte of record) yield Uint8Array.of(byte);
      },
    },
  ],
  ["a record at a time", { pieces: (records) => records }],
  [
    "groups for next time",
    {
      flight: replace("encryptedExtensions", () =>
        Uint8Array.fromHex("0800001a0018000a0006000411ec001d0010000a000807736f74746f2f31"),
      ),
    },
  ],
  [
    "a key update, not asked for",
    { flight: before("data", { ...saying("application", keyUpdate(0)), updatesKey: true }) },
  ],
  [
    "a key update that asks for one",
    { flight: before("data", { ...saying("application", keyUpdate(1)), updatesKey: true }) },
  ],
  [
    "a key update in four records",
    {
      flight: before("data", { ...saying("application", keyUpdate(1)), updatesKey: true }),
      records: reshape(
        (item) => item.updatesKey === true,
        (item) => cut(item, 1).map((piece, index) => ({ ...piece, updatesKey: index === 4 })),
      ),
    },
  ],
  ["an empty record of data", { flight: before("data", applicationData("")) }],
  ["bytes after the farewell", { flight: after("closeNotify", applicationData("more", "plain")) }],
];

export const recordAttacks: readonly Row[] = [
  [
    "a server hello in a record of data",
    shaped(isFirst, { outerType: contentTypes.applicationData }),
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_MESSAGE",
  ],
  [
    "a server hello in an alert",
    shaped(isFirst, { outerType: contentTypes.alert }),
    "malformed",
    "ERR_SSL_INVALID_ALERT",
  ],
  [
    "a record of no type",
    shaped(isFirst, { outerType: 99 }),
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_MESSAGE",
  ],
  [
    "a record of type zero",
    shaped(isFirst, { outerType: 0 }),
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_MESSAGE",
  ],
  ["a heartbeat", shaped(isFirst, { outerType: 24 }), "unexpected-message", "ERR_SSL_UNEXPECTED_MESSAGE"],
  ["sslv3", shaped(isFirst, { version: 0x0300 }), "bad-record", undefined],
  ["tls 1.0 on a record", shaped(isFirst, { version: 0x0301 }), "bad-record", undefined],
  ["tls 1.3 on a record", shaped(isFirst, { version: 0x0304 }), "bad-record", undefined],
  [
    "another protocol altogether",
    { pieces: () => [Uint8Array.from(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"))] },
    "unexpected-message",
    "ERR_SSL_WRONG_VERSION_NUMBER",
  ],
  [
    "tls 1.2 of the outer type",
    shaped(isProtected, { outerType: contentTypes.handshake }),
    "unexpected-message",
    "ERR_SSL_BAD_RECORD_TYPE",
  ],
  [
    "tls 1.3 on a protected record",
    shaped(isProtected, { version: 0x0304 }),
    "bad-record",
    "ERR_SSL_WRONG_VERSION_NUMBER",
  ],
  [
    "an empty record first",
    { records: reshape(isFirst, (item) => [empty(item), item]) },
    "unexpected-message",
    undefined,
  ],
  [
    "an empty protected record",
    { records: reshape(isProtected, (item) => [empty(item), item]) },
    "unexpected-message",
    "ERR_SSL_BAD_LENGTH",
  ],
  [
    "nothing but padding",
    {
      records: reshape(isData, (item) => [{ ...item, content: none, shape: { untyped: true, padding: 8 } }]),
    },
    "unexpected-message",
    "ERR_SSL_BAD_RECORD_TYPE",
  ],
  [
    "a record with nothing in it",
    { records: reshape(isData, (item) => [{ ...item, content: none, shape: { untyped: true } }]) },
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  ],
  [
    "an inner type that there is not",
    { records: reshape(isData, (item) => [{ ...item, type: 99 }]) },
    "unexpected-message",
    "ERR_SSL_BAD_RECORD_TYPE",
  ],
  [
    "an inner heartbeat",
    { records: reshape(isData, (item) => [{ ...item, type: 24 }]) },
    "unexpected-message",
    "ERR_SSL_BAD_RECORD_TYPE",
  ],
  [
    "an inner change cipher spec",
    {
      records: reshape(isData, (item) => [
        { ...item, type: contentTypes.changeCipherSpec, content: Uint8Array.of(1) },
      ]),
    },
    "unexpected-message",
    "ERR_SSL_BAD_RECORD_TYPE",
  ],
  ["a plaintext over the limit", padded(limit + 1, 0), "too-large", "ERR_SSL_DATA_LENGTH_TOO_LONG"],
  ["a plaintext over the limit by its padding", padded(1, limit), "too-large", undefined],
  ["a record over every limit", padded(limit + 300, 0), "too-large", "ERR_SSL_ENCRYPTED_LENGTH_TOO_LONG"],
  [
    "a clear record over the limit",
    {
      records: reshape(isFirst, (item) => [
        { ...item, content: concatBytes(item.content, new Uint8Array(limit + 1 - item.content.length)) },
      ]),
    },
    "too-large",
    "ERR_SSL_DATA_LENGTH_TOO_LONG",
  ],
  [
    "a length over every limit",
    shaped(isFirst, { statedLength: 0xffff }),
    "too-large",
    "ERR_SSL_DATA_LENGTH_TOO_LONG",
  ],
  [
    "a length of more than comes",
    shaped((item) => item.type === contentTypes.alert, { statedLength: 100 }),
    "truncated",
    undefined,
  ],
  [
    "a record too short for its tag",
    bent(isProtected, (record) => concatBytes(record.slice(0, 3), Uint8Array.of(0, 16), record.slice(-16))),
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  ],
  [
    "an empty record of data before its time",
    bent(isProtected, (record) => concatBytes(record.slice(0, 3), Uint8Array.of(0, 0))),
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  ],
  [
    "the server hello and what follows in one clear record",
    {
      records: (items) =>
        coalesce(items.map((item) => (isHandshake(item) ? { ...item, level: "plain" } : item))),
    },
    "unexpected-message",
    "ERR_SSL_BAD_RECORD_TYPE",
  ],
  [
    "the extensions in the clear",
    { records: reshape(isProtected, (item) => [{ ...item, level: "plain" }]) },
    "unexpected-message",
    "ERR_SSL_BAD_RECORD_TYPE",
  ],
  [
    "a server hello that goes on protected",
    {
      records: reshape(isFirst, (item) => {
        const [head, tail] = cut(item, 60);
        return [...(head ? [head] : []), ...(tail ? [{ ...tail, level: "handshake" } as const] : [])];
      }),
    },
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_MESSAGE",
  ],
  [
    "finished and data in one record",
    {
      records: (items) =>
        items.map((item, index) =>
          item.type === contentTypes.handshake && items[index + 1]?.level === "application"
            ? { ...item, content: concatBytes(item.content, keyUpdate(0)) }
            : item,
        ),
    },
    "unexpected-message",
    "ERR_SSL_NOT_ON_RECORD_BOUNDARY",
  ],
  [
    "an alert inside a message",
    {
      records: reshape(isProtected, (item) => {
        const [head, ...tail] = cut(item, 3);
        return [
          ...(head ? [head] : []),
          { ...item, type: contentTypes.alert, content: Uint8Array.of(1, 90) },
          ...tail,
        ];
      }),
    },
    "unexpected-message",
    undefined,
  ],
  [
    "change cipher spec inside a message",
    {
      records: reshape(isProtected, (item) => {
        const [head, ...tail] = cut(item, 3);
        return [
          ...(head ? [head] : []),
          { ...item, level: "plain", type: contentTypes.changeCipherSpec, content: Uint8Array.of(1) },
          ...tail,
        ];
      }),
    },
    "unexpected-message",
    undefined,
  ],
  [
    "finished in the next key",
    {
      records: (items) =>
        items.map((item, index) =>
          items[index + 1]?.level === "application" && item.level === "handshake"
            ? { ...item, level: "application" }
            : item,
        ),
    },
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  ],
  [
    "a tag with a bit changed",
    bent(isData, (record) => flip(record, record.length - 1)),
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  ],
  [
    "a record sent again",
    { records: (items) => items, pieces: twice },
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  ],
  [
    "a record dropped",
    { pieces: (records) => [...records].toSpliced(-3, 1) },
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  ],
  [
    "two records exchanged",
    {
      pieces: (records) => {
        const list = [...records];
        return [...list.slice(0, -2), ...list.slice(-2).reverse()];
      },
    },
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  ],
];

function* twice(records: Iterable<Uint8Array<ArrayBuffer>>): Generator<Uint8Array<ArrayBuffer>> {
  const list = [...records];
  const data = list.at(-2);
  yield* list.slice(0, -1);
  if (data !== undefined) yield data;
}
