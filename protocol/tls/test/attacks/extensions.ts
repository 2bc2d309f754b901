import {
  type Extension,
  encryptedExtensions,
  extensionTypes,
  handshake,
  message,
  protocols,
} from "../hostile-messages.ts";
import type { Script } from "../hostile-script.ts";
import { lengthen } from "./hello.ts";
import { replace } from "./steps.ts";
import type { Row } from "./table.ts";

const none = new Uint8Array();
const good = protocols("sotto/1");

const saying = (...list: readonly Extension[]): Script => ({
  flight: replace("encryptedExtensions", () => encryptedExtensions(list)),
});
const alsoSaying = (type: number, data: Uint8Array = none): Script => saying(good, [type, data]);
const listed = (...bytes: readonly number[]): Script => saying([extensionTypes.alpn, Uint8Array.from(bytes)]);

export const extensionAttacks: readonly Row[] = [
  ["no protocol", saying(), "wrong-protocol", "wrong-protocol"],
  ["another protocol", saying(protocols("h2")), "wrong-protocol", "ERR_SSL_BAD_EXTENSION"],
  [
    "the next version of the protocol",
    saying(protocols("sotto/2")),
    "wrong-protocol",
    "ERR_SSL_BAD_EXTENSION",
  ],
  [
    "the protocol with a zero after it",
    saying(protocols("sotto/1\0")),
    "wrong-protocol",
    "ERR_SSL_BAD_EXTENSION",
  ],
  ["two protocols", saying(protocols("sotto/1", "h2")), "malformed", "ERR_SSL_BAD_EXTENSION"],
  ["an empty protocol", listed(0, 1, 0), "wrong-protocol", "ERR_SSL_BAD_EXTENSION"],
  ["an empty list of protocols", listed(0, 0), "malformed", "ERR_SSL_BAD_EXTENSION"],
  ["a protocol that is no text", listed(0, 3, 2, 0xff, 0xfe), "malformed", "ERR_SSL_BAD_EXTENSION"],
  ["a protocol longer than its list", listed(0, 3, 7, 0x73, 0x6f), "malformed", "ERR_SSL_BAD_EXTENSION"],
  ["nothing where a list of protocols is due", listed(), "malformed", "ERR_SSL_BAD_EXTENSION"],
  ["the protocol twice", saying(good, good), "illegal-parameter", "ERR_SSL_BAD_EXTENSION"],
  ["an unknown extension", alsoSaying(0xfafa), "unexpected-extension", undefined],
  [
    "early data",
    alsoSaying(extensionTypes.earlyData),
    "unexpected-extension",
    "ERR_SSL_UNSOLICITED_EXTENSION",
  ],
  [
    "a pre-shared key",
    alsoSaying(extensionTypes.preSharedKey, Uint8Array.of(0, 0)),
    "unexpected-extension",
    "ERR_SSL_BAD_EXTENSION",
  ],
  [
    "a key share",
    alsoSaying(extensionTypes.keyShare, Uint8Array.of(0, 0x1d)),
    "unexpected-extension",
    "ERR_SSL_BAD_EXTENSION",
  ],
  [
    "a version",
    alsoSaying(extensionTypes.supportedVersions, Uint8Array.of(3, 4)),
    "unexpected-extension",
    "ERR_SSL_BAD_EXTENSION",
  ],
  [
    "a cookie",
    alsoSaying(extensionTypes.cookie, Uint8Array.of(0, 1, 7)),
    "unexpected-extension",
    "ERR_SSL_BAD_EXTENSION",
  ],
  [
    "signature algorithms",
    alsoSaying(extensionTypes.signatureAlgorithms, Uint8Array.of(0, 2, 4, 3)),
    "unexpected-extension",
    "ERR_SSL_BAD_EXTENSION",
  ],
  [
    "certificate authorities",
    alsoSaying(extensionTypes.certificateAuthorities, Uint8Array.of(0, 3, 0, 1, 0)),
    "unexpected-extension",
    "ERR_SSL_BAD_EXTENSION",
  ],
  [
    "authentication after the handshake",
    alsoSaying(extensionTypes.postHandshakeAuth),
    "unexpected-extension",
    "ERR_SSL_BAD_EXTENSION",
  ],
  [
    "a server name",
    alsoSaying(extensionTypes.serverName),
    "unexpected-extension",
    "ERR_SSL_UNSOLICITED_EXTENSION",
  ],
  [
    "a record size limit",
    alsoSaying(extensionTypes.recordSizeLimit, Uint8Array.of(0, 64)),
    "unexpected-extension",
    undefined,
  ],
  [
    "a fragment length",
    alsoSaying(1, Uint8Array.of(1)),
    "unexpected-extension",
    "ERR_SSL_UNSOLICITED_EXTENSION",
  ],
  [
    "raw public keys",
    alsoSaying(20, Uint8Array.of(2)),
    "unexpected-extension",
    "ERR_SSL_UNSOLICITED_EXTENSION",
  ],
  [
    "a certificate of the client's, raw",
    alsoSaying(19, Uint8Array.of(2)),
    "unexpected-extension",
    "ERR_SSL_UNSOLICITED_EXTENSION",
  ],
  ["heartbeats", alsoSaying(15, Uint8Array.of(1)), "unexpected-extension", undefined],
  ["tickets", alsoSaying(35), "unexpected-extension", "ERR_SSL_BAD_EXTENSION"],
  ["an extended master secret", alsoSaying(23), "unexpected-extension", "ERR_SSL_BAD_EXTENSION"],
  [
    "a certificate's status",
    alsoSaying(extensionTypes.statusRequest),
    "unexpected-extension",
    "ERR_SSL_BAD_EXTENSION",
  ],
  ["encrypted client hello", alsoSaying(0xfe0d, Uint8Array.of(0)), "unexpected-extension", undefined],
  [
    "an odd list of groups",
    alsoSaying(extensionTypes.supportedGroups, Uint8Array.of(0, 3, 0, 0x1d, 0)),
    "malformed",
    undefined,
  ],
  [
    "bytes after the extensions",
    { flight: replace("encryptedExtensions", (_moment, honest) => lengthen(honest, Uint8Array.of(0))) },
    "malformed",
    "ERR_SSL_LENGTH_MISMATCH",
  ],
  [
    "extensions cut short",
    { flight: replace("encryptedExtensions", (_moment, honest) => lengthen(honest.slice(0, -1), none)) },
    "malformed",
    "ERR_SSL_LENGTH_MISMATCH",
  ],
  [
    "nothing at all",
    { flight: replace("encryptedExtensions", () => message(handshake.encryptedExtensions, none)) },
    "malformed",
    "ERR_SSL_LENGTH_MISMATCH",
  ],
];
