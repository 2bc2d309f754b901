// Servers that never come to an end; each would keep a client without limits busy, or fill its memory.
import { keyUpdate, message, newSessionTicket } from "../hostile-messages.ts";
import { contentTypes, type Item, type Script } from "../hostile-script.ts";
import { isData, isProtected } from "./steps.ts";
import type { Row } from "./table.ts";

const none = new Uint8Array();
const full = 1 << 14;

/** From the first item that is meant on, one record after another without end; their number is given to `make`. */
const endless = (isMeant: (item: Item) => boolean, make: (count: number) => Item): Script => ({
  records: function* (items) {
    for (const item of items) {
      if (isMeant(item)) break;
      yield item;
    }
    for (let count = 0; ; count += 1) yield make(count);
  },
  pieces: (records) => records,
});

const clear = (type: number, content: Uint8Array): Item => ({
  level: "plain",
  type,
  content: new Uint8Array(content),
});
const sealed = (level: Item["level"], type: number, content: Uint8Array, more: Partial<Item> = {}): Item => ({
  level,
  type,
  content: new Uint8Array(content),
  ...more,
});
const { handshake, alert, changeCipherSpec, applicationData } = contentTypes;
const always = (): boolean => true;

/** A message of sixteen million bytes, in full records. */
const huge =
  (type: number, level: Item["level"]) =>
  (count: number): Item => {
    const content = new Uint8Array(full);
    if (count === 0) content.set([type, 0xff, 0xff, 0xff]);
    return { level, type: handshake, content };
  };

const update = (requested: number) => (): Item =>
  sealed("application", handshake, keyUpdate(requested), { updatesKey: true });

export const endlessAttacks: readonly Row[] = [
  [
    "empty records of the handshake",
    endless(always, () => clear(handshake, none)),
    "unexpected-message",
    "ERR_SSL_RECORD_TOO_SMALL",
  ],
  [
    "a server hello without end",
    endless(always, huge(2, "plain")),
    "too-large",
    "ERR_SSL_EXCESSIVE_MESSAGE_SIZE",
  ],
  [
    "hello requests",
    endless(always, () => clear(handshake, message(0, none))),
    "unexpected-message",
    "never",
  ],
  [
    "warnings",
    endless(always, () => clear(alert, Uint8Array.of(1, 90))),
    "alert",
    "ERR_SSL_TOO_MANY_WARN_ALERTS",
  ],
  [
    "change cipher specs first of all",
    endless(always, () => clear(changeCipherSpec, Uint8Array.of(1))),
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_MESSAGE",
  ],
  [
    "change cipher specs after the server hello",
    endless(isProtected, () => clear(changeCipherSpec, Uint8Array.of(1))),
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_CCS_MESSAGE",
  ],
  [
    "a record that never ends",
    {
      pieces: function* () {
        yield Uint8Array.of(handshake, 3, 3, 0x40, 0);
        for (;;) yield Uint8Array.of(2);
      },
    },
    "too-large",
    "ERR_SSL_EXCESSIVE_MESSAGE_SIZE",
  ],
  [
    "encrypted extensions without end",
    endless(isProtected, huge(8, "handshake")),
    "too-large",
    "ERR_SSL_EXCESSIVE_MESSAGE_SIZE",
  ],
  [
    "a certificate without end",
    endless((item) => isProtected(item) && item.content[0] === 11, huge(11, "handshake")),
    "too-large",
    "ERR_SSL_EXCESSIVE_MESSAGE_SIZE",
  ],
  [
    "protected empty records",
    endless(isProtected, () => sealed("handshake", handshake, none)),
    "unexpected-message",
    "ERR_SSL_BAD_LENGTH",
  ],
  [
    "protected padding",
    endless(isProtected, () => sealed("handshake", handshake, none, { shape: { padding: full } })),
    "unexpected-message",
    "ERR_SSL_BAD_LENGTH",
  ],
  [
    "protected warnings",
    endless(isProtected, () => sealed("handshake", alert, Uint8Array.of(1, 90))),
    "alert",
    "ERR_SSL_TOO_MANY_WARN_ALERTS",
  ],
  ["key updates", endless(isData, update(0)), "too-many-records", "never"],
  ["key updates that ask for one", endless(isData, update(1)), "too-many-records", "never"],
  [
    "session tickets",
    endless(isData, () => sealed("application", handshake, newSessionTicket())),
    "session-ticket",
    "session-ticket",
  ],
  [
    "empty data",
    endless(isData, () => sealed("application", applicationData, none)),
    "too-many-records",
    "ERR_SSL_RECORD_TOO_SMALL",
  ],
  [
    "padding in place of data",
    endless(isData, () => sealed("application", applicationData, none, { shape: { padding: full } })),
    "too-many-records",
    "ERR_SSL_RECORD_TOO_SMALL",
  ],
  [
    "key updates and empty data in turn",
    endless(isData, (count) =>
      count % 2 === 0 ? update(0)() : sealed("application", applicationData, none),
    ),
    "too-many-records",
    "never",
  ],
  [
    "warnings after the handshake",
    endless(isData, () => sealed("application", alert, Uint8Array.of(1, 90))),
    "alert",
    "ERR_SSL_TOO_MANY_WARN_ALERTS",
  ],
];
