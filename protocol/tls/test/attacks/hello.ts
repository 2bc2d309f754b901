// ServerHellos that no server may send to a client of the profile (RFC 8446 Section 4.1.3).
import { type Bytes, concatBytes } from "@sotto/base";
import {
  type Extension,
  extensionTypes,
  groups,
  keyShare,
  retryRandom,
  type ServerHello,
  sentinels,
  serverHello,
  supportedVersion,
} from "../hostile-messages.ts";
import type { Moment, Script } from "../hostile-script.ts";
import { replace } from "./steps.ts";
import type { Row } from "./table.ts";

const none = new Uint8Array();
const hybrid = { groups: ["X25519MLKEM768"] } as const;
const both = { groups: ["X25519MLKEM768", "X25519"] } as const;

/** A ServerHello with some fields of its own. */
const hello = (change: (moment: Moment) => Partial<ServerHello>): Script => ({
  flight: replace("serverHello", (moment) => serverHello({ ...moment.hello, ...change(moment) })),
});

const extended = (
  change: (extensions: readonly Extension[], moment: Moment) => readonly Extension[],
): Script => hello((moment) => ({ extensions: change(moment.hello.extensions ?? [], moment) }));

const adding = (...added: readonly Extension[]): Script => extended((list) => [...list, ...added]);

const sharing = (
  change: (share: Bytes, moment: Moment) => readonly [group: number, share: Uint8Array],
): Script =>
  extended((_list, moment) => [
    supportedVersion(0x0304),
    keyShare(...change(moment.agreement.share, moment)),
  ]);

const random = (end: Uint8Array): Bytes => concatBytes(new Uint8Array(32 - end.length).fill(0x5a), end);
const retry = (...asked: readonly Extension[]): Script =>
  hello(() => ({ random: retryRandom, extensions: [supportedVersion(0x0304), ...asked] }));
const asking = (group: number): Extension => [
  extensionTypes.keyShare,
  Uint8Array.of(group >> 8, group & 0xff),
];

// The point u = 1 is of order 4, and gives zeros as zero itself does.
const smallOrder = Uint8Array.of(1, ...new Uint8Array(31));

export const helloAttacks: readonly Row[] = [
  [
    "tls 1.2, with no extensions",
    hello(() => ({ extensions: undefined, suite: 0xc02b })),
    "tls-version",
    "ERR_SSL_UNSUPPORTED_PROTOCOL",
  ],
  [
    "tls 1.2, with extensions of its own",
    hello(() => ({ extensions: [[extensionTypes.renegotiationInfo, Uint8Array.of(0)]], suite: 0xc02b })),
    "tls-version",
    "ERR_SSL_UNSUPPORTED_PROTOCOL",
  ],
  [
    "tls 1.2, and a random that says it was made to",
    hello(() => ({ extensions: undefined, suite: 0xc02b, random: random(sentinels.tls12) })),
    "tls-version",
    "ERR_SSL_UNSUPPORTED_PROTOCOL",
  ],
  [
    "tls 1.1, and a random that says it was made to",
    hello(() => ({ extensions: undefined, version: 0x0302, suite: 0xc013, random: random(sentinels.tls11) })),
    "tls-version",
    "ERR_SSL_UNSUPPORTED_PROTOCOL",
  ],
  [
    "no version extension",
    extended(([, share]) => (share === undefined ? [] : [share])),
    "tls-version",
    "ERR_SSL_UNSUPPORTED_PROTOCOL",
  ],
  ["tls 1.3 as legacy version", hello(() => ({ version: 0x0304 })), "tls-version", undefined],
  ["tls 1.1 as legacy version", hello(() => ({ version: 0x0302 })), "tls-version", undefined],
  [
    "a draft's version",
    extended(([, share]) => [supportedVersion(0x7f1c), ...(share ? [share] : [])]),
    "tls-version",
    "ERR_SSL_BAD_PROTOCOL_VERSION_NUMBER",
  ],
  [
    "tls 1.2 as version",
    extended(([, share]) => [supportedVersion(0x0303), ...(share ? [share] : [])]),
    "tls-version",
    "ERR_SSL_BAD_PROTOCOL_VERSION_NUMBER",
  ],
  [
    "tls 1.4 as version",
    extended(([, share]) => [supportedVersion(0x0305), ...(share ? [share] : [])]),
    "tls-version",
    "ERR_SSL_BAD_PROTOCOL_VERSION_NUMBER",
  ],
  [
    "an empty version",
    extended(([, share]) => [[extensionTypes.supportedVersions, none], ...(share ? [share] : [])]),
    "malformed",
    "ERR_SSL_LENGTH_MISMATCH",
  ],
  [
    "a list of versions",
    extended(([, share]) => [
      [extensionTypes.supportedVersions, Uint8Array.of(2, 3, 4)],
      ...(share ? [share] : []),
    ]),
    "malformed",
    "ERR_SSL_LENGTH_MISMATCH",
  ],
  ["a retry for the hybrid group", retry(asking(groups.hybrid)), "hello-retry", "ERR_SSL_BAD_KEY_SHARE"],
  [
    "a retry for the group that has a share",
    retry(asking(groups.x25519)),
    "hello-retry",
    "ERR_SSL_BAD_KEY_SHARE",
  ],
  [
    "a retry for x25519 from who offered both",
    retry(asking(groups.x25519)),
    "hello-retry",
    "ERR_SSL_UNEXPECTED_MESSAGE",
    both,
  ],
  ["a retry for p-256", retry(asking(groups.p256)), "hello-retry", "ERR_SSL_BAD_KEY_SHARE"],
  [
    "a retry with a cookie",
    retry([extensionTypes.cookie, Uint8Array.of(0, 1, 7)]),
    "hello-retry",
    "ERR_SSL_UNEXPECTED_MESSAGE",
  ],
  ["a retry for nothing", retry(), "hello-retry", "ERR_SSL_NO_CHANGE_FOLLOWING_HRR"],
  [
    "a suite that was not offered",
    hello(() => ({ suite: 0x1303 })),
    "illegal-parameter",
    "ERR_SSL_WRONG_CIPHER_RETURNED",
  ],
  [
    "a suite of tls 1.2",
    hello(() => ({ suite: 0xc02b })),
    "illegal-parameter",
    "ERR_SSL_WRONG_CIPHER_RETURNED",
  ],
  [
    "the other suite than its keys",
    hello(() => ({ suite: 0x1302 })),
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  ],
  [
    "another session id",
    hello(({ hello: { sessionId } }) => ({
      sessionId: Uint8Array.from({ length: 32 }, (_, index) => (sessionId[index] ?? 1) ^ 1),
    })),
    "illegal-parameter",
    "ERR_SSL_INVALID_SESSION_ID",
  ],
  [
    "a session id cut short, or added to",
    hello(({ hello: { sessionId } }) => ({
      sessionId: sessionId.length > 0 ? sessionId.subarray(1) : Uint8Array.of(1),
    })),
    "illegal-parameter",
    "ERR_SSL_INVALID_SESSION_ID",
  ],
  [
    "a session id over its limit",
    hello(() => ({ sessionId: new Uint8Array(33) })),
    "malformed",
    "ERR_SSL_SSL3_SESSION_ID_TOO_LONG",
  ],
  [
    "a compression method",
    hello(() => ({ compression: 1 })),
    "illegal-parameter",
    "ERR_SSL_INVALID_COMPRESSION_ALGORITHM",
  ],
  [
    "no key share",
    extended(([version]) => (version === undefined ? [] : [version])),
    "missing-extension",
    "ERR_SSL_NO_SUITABLE_KEY_SHARE",
  ],
  [
    "two key shares",
    extended((list) => [...list, ...list.slice(1)]),
    "illegal-parameter",
    "ERR_SSL_BAD_EXTENSION",
  ],
  [
    "two versions",
    extended((list) => [...list, ...list.slice(0, 1)]),
    "illegal-parameter",
    "ERR_SSL_BAD_EXTENSION",
  ],
  ["an unknown extension", adding([0xfafa, none]), "unexpected-extension", undefined],
  [
    "a pre-shared key",
    adding([extensionTypes.preSharedKey, Uint8Array.of(0, 0)]),
    "unexpected-extension",
    "ERR_SSL_UNSOLICITED_EXTENSION",
  ],
  ["early data", adding([extensionTypes.earlyData, none]), "unexpected-extension", "ERR_SSL_BAD_EXTENSION"],
  [
    "a protocol in the clear",
    adding([extensionTypes.alpn, Uint8Array.of(0, 3, 2, 104, 50)]),
    "unexpected-extension",
    "ERR_SSL_BAD_EXTENSION",
  ],
  [
    "a server name",
    adding([extensionTypes.serverName, none]),
    "unexpected-extension",
    "ERR_SSL_UNSOLICITED_EXTENSION",
  ],
  [
    "a cookie outside a retry",
    adding([extensionTypes.cookie, Uint8Array.of(0, 1, 7)]),
    "unexpected-extension",
    "ERR_SSL_BAD_EXTENSION",
  ],
  [
    "renegotiation info",
    adding([extensionTypes.renegotiationInfo, Uint8Array.of(0)]),
    "unexpected-extension",
    "ERR_SSL_BAD_EXTENSION",
  ],
  [
    "bytes after the extensions",
    { flight: replace("serverHello", (_moment, honest) => lengthen(honest, Uint8Array.of(0))) },
    "malformed",
    "ERR_SSL_BAD_LENGTH",
  ],
  [
    "extensions cut short",
    { flight: replace("serverHello", (_moment, honest) => lengthen(honest.slice(0, -1), none)) },
    "malformed",
    "ERR_SSL_BAD_LENGTH",
  ],
  [
    "a group that was not offered",
    sharing(() => [groups.p256, concatBytes(Uint8Array.of(4), new Uint8Array(64).fill(7))]),
    "illegal-parameter",
    "ERR_SSL_BAD_KEY_SHARE",
  ],
  [
    "the hybrid group to who offered x25519",
    sharing(() => [groups.hybrid, new Uint8Array(1120).fill(7)]),
    "illegal-parameter",
    "ERR_SSL_BAD_KEY_SHARE",
  ],
  [
    "x25519 to who offered the hybrid group",
    sharing((share) => [groups.x25519, share.slice(-32)]),
    "classical-downgrade",
    "ERR_SSL_BAD_KEY_SHARE",
    hybrid,
  ],
  ["an empty share", sharing(() => [groups.x25519, none]), "illegal-parameter", "ERR_SSL_LENGTH_MISMATCH"],
  [
    "a share cut short",
    sharing((share) => [groups.x25519, share.slice(1)]),
    "illegal-parameter",
    "ERR_SSL_BAD_ECPOINT",
  ],
  [
    "a share with a byte more",
    sharing((share) => [groups.x25519, concatBytes(share, Uint8Array.of(0))]),
    "illegal-parameter",
    "ERR_SSL_BAD_ECPOINT",
  ],
  [
    "a share of zeros",
    sharing(() => [groups.x25519, new Uint8Array(32)]),
    "illegal-parameter",
    "ERR_SSL_FAILED_DURING_DERIVATION",
  ],
  [
    "a share of small order",
    sharing(() => [groups.x25519, smallOrder]),
    "illegal-parameter",
    "ERR_SSL_FAILED_DURING_DERIVATION",
  ],
  [
    "another's share",
    sharing(() => [groups.x25519, new Uint8Array(32).fill(9)]),
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  ],
  [
    "the client's own share",
    sharing((_share, { clientHello }) => [groups.x25519, clientHello.shares.get(groups.x25519) ?? none]),
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  ],
  [
    "a ciphertext cut short",
    sharing((share) => [groups.hybrid, share.slice(1)]),
    "illegal-parameter",
    "ERR_SSL_WRONG_CIPHERTEXT_SIZE",
    hybrid,
  ],
  [
    "a ciphertext with a byte more",
    sharing((share) => [groups.hybrid, concatBytes(Uint8Array.of(0), share)]),
    "illegal-parameter",
    "ERR_SSL_WRONG_CIPHERTEXT_SIZE",
    hybrid,
  ],
  [
    "a ciphertext alone",
    sharing((share) => [groups.hybrid, share.slice(0, 1088)]),
    "illegal-parameter",
    "ERR_SSL_WRONG_CIPHERTEXT_SIZE",
    hybrid,
  ],
  [
    "another's ciphertext",
    sharing((share) => [groups.hybrid, concatBytes(new Uint8Array(1088).fill(7), share.slice(1088))]),
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
    hybrid,
  ],
  [
    "the halves the other way round",
    sharing((share) => [groups.hybrid, concatBytes(share.slice(1088), share.slice(0, 1088))]),
    "bad-record",
    "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
    hybrid,
  ],
  [
    "a ciphertext with a share of zeros",
    sharing((share) => [groups.hybrid, concatBytes(share.slice(0, 1088), new Uint8Array(32))]),
    "illegal-parameter",
    "ERR_SSL_FAILED_DURING_DERIVATION",
    hybrid,
  ],
];

/** A handshake message with its body followed by something, and the length to go with it. */
export function lengthen(message: Uint8Array, more: Uint8Array): Bytes {
  const whole = concatBytes(message, more);
  new DataView(whole.buffer).setUint16(2, whole.length - 4);
  return whole;
}
