// Messages where they have no place: left out, repeated, exchanged, added (RFC 8446 Appendix A.1).
import { concatBytes } from "@sotto/base";
import {
  certificateRequest,
  finished,
  handshake,
  keyUpdate,
  message,
  newSessionTicket,
} from "../hostile-messages.ts";
import {
  alert,
  applicationData,
  changeCipherSpec,
  contentTypes,
  honestNames,
  type Level,
  type Script,
} from "../hostile-script.ts";
import { after, before, endBefore, omit, repeat, saying, swap } from "./steps.ts";
import type { Row } from "./table.ts";

const none = new Uint8Array();

/** Both ways in which a server may go on after it has changed something. */
export const transcripts = ["sent", "honest"] as const;

/** Messages that are of TLS, or were, or are of no kind, and have no place in the flight. */
export const strangers: readonly (readonly [name: string, bytes: Uint8Array])[] = [
  ["hello request", message(handshake.helloRequest, none)],
  ["client hello", message(handshake.clientHello, new Uint8Array(40))],
  ["session ticket", newSessionTicket()],
  ["end of early data", message(handshake.endOfEarlyData, none)],
  ["retry of a draft", message(6, new Uint8Array(40))],
  ["server key exchange", message(12, new Uint8Array(40))],
  ["certificate request", certificateRequest()],
  ["server hello done", message(14, none)],
  ["client key exchange", message(16, new Uint8Array(40))],
  ["certificate url", message(21, none)],
  ["certificate status", message(22, Uint8Array.of(1, 0, 0, 0))],
  ["supplemental data", message(23, Uint8Array.of(0, 0, 0))],
  ["key update", keyUpdate(0)],
  ["compressed certificate", message(25, new Uint8Array(40))],
  ["next protocol", message(67, new Uint8Array(32))],
  ["message hash", message(handshake.messageHash, new Uint8Array(32))],
  ["a type that there is not", message(99, none)],
];

/** Each message left out, repeated, or exchanged with each other one, before and after the keys; all are refused. */
export function orderAttacks(): (readonly [what: string, script: Script])[] {
  const changes = honestNames.flatMap((name, index) => [
    [`${name} left out`, omit(name)] as const,
    [`${name} repeated`, repeat(name)] as const,
    ...honestNames
      .slice(index + 1)
      .map((other) => [`${name} and ${other} exchanged`, swap(name, other)] as const),
  ]);
  return changes.flatMap(([what, flight]) =>
    transcripts.map(
      (transcript) => [`${what}, keys over what was ${transcript}`, { flight, transcript }] as const,
    ),
  );
}

/** Each stranger before each message; all are refused. */
export function strangerAttacks(): (readonly [what: string, script: Script])[] {
  return strangers.flatMap(([stranger, bytes]) =>
    honestNames.map((name) => {
      const level: Level = name === "serverHello" ? "plain" : "handshake";
      return [`${stranger} before ${name}`, { flight: before(name, saying(level, bytes)) }] as const;
    }),
  );
}

const later = (...contents: readonly Uint8Array[]): Script => ({
  flight: before("data", ...contents.map((content) => saying("application", content))),
});
const updating = (content: Uint8Array): Script => ({
  flight: before("data", { ...saying("application", content), updatesKey: true }),
});

/** After the handshake. */
export const laterAttacks: readonly Row[] = [
  ["a session ticket", later(newSessionTicket()), "session-ticket", "session-ticket"],
  [
    "a request for a certificate",
    later(certificateRequest(Uint8Array.of(1))),
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_MESSAGE",
  ],
  [
    "a second finished",
    later(finished(new Uint8Array(32))),
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_MESSAGE",
  ],
  [
    "a second server hello",
    later(message(handshake.serverHello, new Uint8Array(40))),
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_MESSAGE",
  ],
  [
    "a request to negotiate again",
    later(message(handshake.helloRequest, none)),
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_MESSAGE",
  ],
  [
    "a certificate",
    later(message(handshake.certificate, new Uint8Array(8))),
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_MESSAGE",
  ],
  [
    "a message hash",
    later(message(handshake.messageHash, new Uint8Array(32))),
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_MESSAGE",
  ],
  [
    "a key update that asks for something else",
    updating(keyUpdate(2)),
    "illegal-parameter",
    "ERR_SSL_BAD_KEY_UPDATE",
  ],
  [
    "an empty key update",
    updating(message(handshake.keyUpdate, none)),
    "malformed",
    "ERR_SSL_BAD_KEY_UPDATE",
  ],
  [
    "a key update of two bytes",
    updating(message(handshake.keyUpdate, Uint8Array.of(0, 0))),
    "too-large",
    "ERR_SSL_EXCESSIVE_MESSAGE_SIZE",
  ],
  [
    "a key update that changes no key",
    later(keyUpdate(0)),
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  ],
  [
    "a key update and another in one record",
    updating(concatBytes(keyUpdate(0), keyUpdate(0))),
    "unexpected-message",
    "ERR_SSL_NOT_ON_RECORD_BOUNDARY",
  ],
  [
    "a key update and a ticket in one record",
    updating(concatBytes(keyUpdate(0), newSessionTicket())),
    "unexpected-message",
    "ERR_SSL_NOT_ON_RECORD_BOUNDARY",
  ],
  [
    "half a key update, and then data",
    later(keyUpdate(0).slice(0, 3)),
    "unexpected-message",
    "ERR_SSL_MIXED_HANDSHAKE_AND_NON_HANDSHAKE_DATA",
  ],
  [
    "data in the handshake's keys",
    {
      flight: (steps) =>
        steps.map((step) => (step.name === "data" ? applicationData("pong", "handshake") : step)),
    },
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  ],
  [
    "data in the clear",
    { flight: before("data", applicationData("pong", "plain")) },
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  ],
  [
    "change cipher spec after the handshake",
    { flight: before("data", changeCipherSpec) },
    "unexpected-message",
    undefined,
  ],
  [
    "an alert that ends it all",
    { flight: before("data", alert(2, 80)) },
    "alert",
    "ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR",
  ],
  [
    "an alert in the clear",
    { flight: before("data", alert(2, 80, "plain")) },
    "unexpected-message",
    "ERR_SSL_BAD_RECORD_TYPE",
  ],
  [
    "a farewell in the clear",
    { flight: before("data", alert(1, 0, "plain")) },
    "unexpected-message",
    "ERR_SSL_BAD_RECORD_TYPE",
  ],
  ["no farewell", { flight: endBefore("closeNotify") }, "truncated", undefined],
];

const sending = (name: string, level: Level, type: number, content: Uint8Array): Script => ({
  flight: before(name, { name: "added", level, type, make: () => new Uint8Array(content) }),
});

/** Records that are no handshake messages, during it. */
export const interruptions: readonly Row[] = [
  [
    "an alert first of all",
    { flight: before("serverHello", alert(2, 40, "plain")) },
    "alert",
    "ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE",
  ],
  ["a farewell first of all", { flight: before("serverHello", alert(1, 0, "plain")) }, "alert", "truncated"],
  ["a warning first of all", { flight: before("serverHello", alert(1, 112, "plain")) }, "alert", undefined],
  [
    "half an alert",
    sending("serverHello", "plain", contentTypes.alert, Uint8Array.of(2)),
    "malformed",
    "ERR_SSL_INVALID_ALERT",
  ],
  [
    "two alerts in one record",
    sending("serverHello", "plain", contentTypes.alert, Uint8Array.of(1, 90, 2, 40)),
    "malformed",
    "ERR_SSL_INVALID_ALERT",
  ],
  [
    "an alert of no level",
    sending("serverHello", "plain", contentTypes.alert, Uint8Array.of(3, 40)),
    "malformed",
    "ERR_SSL_UNKNOWN_ALERT_TYPE",
  ],
  [
    "an alert in the clear after the keys",
    { flight: before("encryptedExtensions", alert(2, 40, "plain")) },
    "unexpected-message",
    "ERR_SSL_BAD_RECORD_TYPE",
  ],
  [
    "a protected alert",
    { flight: before("certificate", alert(2, 80, "handshake")) },
    "alert",
    "ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR",
  ],
  ["a protected warning", { flight: before("certificate", alert(1, 90, "handshake")) }, "alert", undefined],
  ["a protected farewell", { flight: before("certificate", alert(1, 0, "handshake")) }, "alert", "truncated"],
  [
    "a farewell in place of finished",
    { flight: (steps) => before("finished", alert(1, 0, "handshake"))(omit("finished")(steps)) },
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  ],
  [
    "change cipher spec first of all",
    { flight: before("serverHello", changeCipherSpec) },
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_MESSAGE",
  ],
  [
    "change cipher spec twice",
    { flight: after("serverHello", changeCipherSpec, changeCipherSpec) },
    "unexpected-message",
    undefined,
  ],
  [
    "change cipher spec before finished as well",
    {
      flight: (steps) => before("finished", changeCipherSpec)(after("serverHello", changeCipherSpec)(steps)),
    },
    "unexpected-message",
    undefined,
  ],
  [
    "change cipher spec of another value",
    sending("encryptedExtensions", "plain", contentTypes.changeCipherSpec, Uint8Array.of(2)),
    "unexpected-message",
    "ERR_SSL_INVALID_CCS_MESSAGE",
  ],
  [
    "change cipher spec of two bytes",
    sending("encryptedExtensions", "plain", contentTypes.changeCipherSpec, Uint8Array.of(1, 1)),
    "unexpected-message",
    "ERR_SSL_INVALID_CCS_MESSAGE",
  ],
  [
    "an empty change cipher spec",
    sending("encryptedExtensions", "plain", contentTypes.changeCipherSpec, none),
    "unexpected-message",
    "ERR_SSL_INVALID_CCS_MESSAGE",
  ],
  [
    "a protected change cipher spec",
    sending("certificate", "handshake", contentTypes.changeCipherSpec, Uint8Array.of(1)),
    "unexpected-message",
    "ERR_SSL_BAD_RECORD_TYPE",
  ],
  [
    "data first of all",
    { flight: before("serverHello", applicationData("pong", "plain")) },
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_MESSAGE",
  ],
  [
    "data after the server hello",
    { flight: before("encryptedExtensions", applicationData("pong", "handshake")) },
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_RECORD",
  ],
  [
    "data before finished",
    { flight: before("finished", applicationData("pong", "handshake")) },
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_RECORD",
  ],
  [
    "data in place of finished",
    { flight: (steps) => before("finished", applicationData("pong", "handshake"))(omit("finished")(steps)) },
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  ],
  [
    "empty data before finished",
    { flight: before("finished", applicationData("", "handshake")) },
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_RECORD",
  ],
];
