// Certificate, CertificateVerify and Finished of a server that is not who it says, or saw another handshake (RFC 8446
// Section 4.4).
import { createHash, sign } from "node:crypto";
import { type Bytes, ByteWriter, concatBytes, copyBytes } from "@sotto/base";
import { createIdentity } from "../hostile-identity.ts";
import {
  certificates,
  certificateVerify,
  extensionTypes,
  finished,
  handshake,
  message,
  protocols,
  schemes,
  signedContent,
} from "../hostile-messages.ts";
import type { Moment, Script } from "../hostile-script.ts";
import { lengthen } from "./hello.ts";
import { replace } from "./steps.ts";
import type { Row } from "./table.ts";

const none = new Uint8Array();
const other = createIdentity();
const onP384 = createIdentity({ namedCurve: "P-384" });
const unsigned = createIdentity({ signer: other.key });

const presenting = (make: (moment: Moment, honest: Bytes) => Bytes): Script => ({
  flight: replace("certificate", make),
});
const entryWith = (type: number, data: Uint8Array): Script =>
  presenting(({ identity }) => certificates([{ ...identity, extensions: [[type, data]] }]));

export const certificateAttacks: readonly Row[] = [
  ["no certificate", presenting(() => certificates([])), "bad-certificate", "ERR_SSL_LENGTH_MISMATCH"],
  [
    "an empty certificate",
    presenting(() => certificates([{ certificate: none }])),
    "malformed",
    "ERR_SSL_TOO_SMALL",
  ],
  [
    "bytes that are none",
    presenting(() => certificates([{ certificate: new Uint8Array(300).fill(0x30) }])),
    "bad-certificate",
    "ERR_SSL_TOO_LONG",
  ],
  [
    "two certificates",
    presenting(({ identity }) => certificates([identity, other])),
    "bad-certificate",
    undefined,
  ],
  [
    "the same certificate twice",
    presenting(({ identity }) => certificates([identity, identity])),
    "bad-certificate",
    undefined,
  ],
  [
    "a request's context",
    presenting(({ identity }) => certificates([identity], Uint8Array.of(1))),
    "illegal-parameter",
    "ERR_SSL_LENGTH_MISMATCH",
  ],
  [
    "a certificate's status",
    entryWith(extensionTypes.statusRequest, Uint8Array.of(1, 0, 0, 1, 0)),
    "unexpected-extension",
    "ERR_SSL_UNSOLICITED_EXTENSION",
  ],
  [
    "timestamps of logs",
    entryWith(extensionTypes.certificateTimestamp, Uint8Array.of(0, 3, 0, 1, 0)),
    "unexpected-extension",
    "ERR_SSL_BAD_EXTENSION",
  ],
  ["an unknown extension", entryWith(0xfafa, none), "unexpected-extension", undefined],
  [
    "a protocol on the certificate",
    entryWith(...protocols("sotto/1")),
    "unexpected-extension",
    "ERR_SSL_BAD_EXTENSION",
  ],
  [
    "another's certificate",
    presenting(() => certificates([other])),
    "bad-signature",
    "ERR_SSL_PROVIDER_SIGNATURE_FAILURE",
  ],
  ["a certificate that another signed", { identity: unsigned }, "bad-certificate", "bad-certificate"],
  [
    "a key on another curve",
    {
      identity: onP384,
      flight: replace("certificateVerify", ({ transcript }) => signed(schemes.p384, transcript, "sha384")),
    },
    "bad-certificate",
    "ERR_SSL_WRONG_SIGNATURE_TYPE",
  ],
  [
    "a byte after the certificate",
    presenting(({ identity }) =>
      certificates([{ certificate: concatBytes(identity.certificate, Uint8Array.of(0)) }]),
    ),
    "bad-certificate",
    "ERR_SSL_CERT_LENGTH_MISMATCH",
  ],
  [
    "a certificate cut short",
    presenting(({ identity }) => certificates([{ certificate: identity.certificate.slice(0, -1) }])),
    "bad-certificate",
    "ERR_SSL_TOO_LONG",
  ],
  [
    "a certificate over the limit",
    presenting(() => certificates([{ certificate: new Uint8Array(0x18000) }])),
    "too-large",
    "ERR_SSL_ENCRYPTED_LENGTH_TOO_LONG",
  ],
  [
    "bytes after the list",
    presenting((_moment, honest) => lengthen(honest, Uint8Array.of(0))),
    "malformed",
    "ERR_SSL_LENGTH_MISMATCH",
  ],
  [
    "a list cut short",
    presenting((_moment, honest) => lengthen(honest.slice(0, -1), none)),
    "malformed",
    "ERR_SSL_LENGTH_MISMATCH",
  ],
  [
    "a certificate of tls 1.2",
    presenting(({ identity }) =>
      message(
        handshake.certificate,
        new ByteWriter().vector(3, new ByteWriter().vector(3, identity.certificate).finish()).finish(),
      ),
    ),
    "malformed",
    "ERR_SSL_LENGTH_MISMATCH",
  ],
  [
    "a compressed certificate",
    presenting((_moment, honest) => message(25, honest.slice(4))),
    "unexpected-message",
    "ERR_SSL_UNEXPECTED_MESSAGE",
  ],
];

/** A CertificateVerify with the identity's own key, or another one. */
function signed(scheme: number, transcript: Uint8Array, digest = "sha256", key = onP384.key): Bytes {
  return certificateVerify(scheme, copyBytes(sign(digest, signedContent("server", transcript), key)));
}

const verifying = (make: (moment: Moment, honest: Bytes) => Bytes): Script => ({
  flight: replace("certificateVerify", make),
});
const signing = (content: (moment: Moment) => Uint8Array): Script =>
  verifying((moment) =>
    certificateVerify(schemes.p256, copyBytes(sign("sha256", content(moment), moment.identity.key))),
  );
/** The honest signature, encoded in another way. */
const encoding = (change: (signature: Bytes) => Uint8Array): Script =>
  verifying((_moment, honest) => certificateVerify(schemes.p256, change(honest.slice(8))));
const digest = (...parts: readonly Uint8Array[]): Bytes =>
  copyBytes(
    createHash("sha256")
      .update(concatBytes(...parts))
      .digest(),
  );

export const signatureAttacks: readonly Row[] = [
  [
    "the name of p-384",
    verifying(({ transcript, identity }) => signed(schemes.p384, transcript, "sha384", identity.key)),
    "wrong-signature-algorithm",
    "ERR_SSL_WRONG_CURVE",
  ],
  [
    "the name of rsa",
    verifying((_moment, honest) => certificateVerify(schemes.rsaPss, honest.slice(8))),
    "wrong-signature-algorithm",
    "ERR_SSL_WRONG_SIGNATURE_TYPE",
  ],
  [
    "the name of ed25519",
    verifying((_moment, honest) => certificateVerify(schemes.ed25519, honest.slice(8))),
    "wrong-signature-algorithm",
    "ERR_SSL_WRONG_SIGNATURE_TYPE",
  ],
  [
    "sha-1",
    verifying(({ transcript, identity }) => signed(0x0203, transcript, "sha1", identity.key)),
    "wrong-signature-algorithm",
    "ERR_SSL_WRONG_SIGNATURE_TYPE",
  ],
  [
    "another hash under the right name",
    verifying(({ transcript, identity }) => signed(schemes.p256, transcript, "sha384", identity.key)),
    "bad-signature",
    "ERR_SSL_PROVIDER_SIGNATURE_FAILURE",
  ],
  [
    "another key",
    verifying(({ transcript }) => signed(schemes.p256, transcript, "sha256", other.key)),
    "bad-signature",
    "ERR_SSL_PROVIDER_SIGNATURE_FAILURE",
  ],
  [
    "the client's words",
    signing(({ transcript }) => signedContent("client", transcript)),
    "bad-signature",
    "ERR_SSL_PROVIDER_SIGNATURE_FAILURE",
  ],
  [
    "no words",
    signing(({ transcript }) => transcript),
    "bad-signature",
    "ERR_SSL_PROVIDER_SIGNATURE_FAILURE",
  ],
  [
    "the client hello alone",
    signing(({ clientHello }) => signedContent("server", digest(clientHello.message))),
    "bad-signature",
    "ERR_SSL_PROVIDER_SIGNATURE_FAILURE",
  ],
  [
    "another connection",
    signing(() => signedContent("server", digest(none))),
    "bad-signature",
    "ERR_SSL_PROVIDER_SIGNATURE_FAILURE",
  ],
  [
    "no signature",
    verifying(() => certificateVerify(schemes.p256, none)),
    "bad-signature",
    "ERR_SSL_PROVIDER_SIGNATURE_FAILURE",
  ],
  ["zeros", encoding(() => Uint8Array.fromHex("3006020100020100")), "bad-signature", "ERR_SSL_BAD_SIGNATURE"],
  [
    "two numbers without their form",
    encoding(() => new Uint8Array(64).fill(7)),
    "bad-signature",
    "ERR_SSL_BAD_SIGNATURE",
  ],
  [
    "bytes after the signature",
    encoding((it) => concatBytes(it, Uint8Array.of(0))),
    "bad-signature",
    "ERR_SSL_BAD_SIGNATURE",
  ],
  ["a signature cut short", encoding((it) => it.slice(0, -1)), "bad-signature", "ERR_SSL_BAD_SIGNATURE"],
  [
    "a length in two bytes",
    encoding((it) => concatBytes(it.slice(0, 1), Uint8Array.of(0x81), it.slice(1))),
    "bad-signature",
    "ERR_SSL_BAD_SIGNATURE",
  ],
  ["a number with a zero before it", encoding(withZero), "bad-signature", "ERR_SSL_BAD_SIGNATURE"],
  [
    "bytes after the message",
    verifying((_moment, honest) => lengthen(honest, Uint8Array.of(0))),
    "malformed",
    "ERR_SSL_LENGTH_MISMATCH",
  ],
  [
    "a message cut short",
    verifying((_moment, honest) => lengthen(honest.slice(0, -1), none)),
    "malformed",
    "ERR_SSL_LENGTH_MISMATCH",
  ],
];

function withZero(signature: Bytes): Bytes {
  const first = signature[3] ?? 0;
  const body = concatBytes(Uint8Array.of(2, first + 1, 0), signature.slice(4));
  return new ByteWriter().u8(0x30).vector(1, body).finish();
}

const finishing = (make: (moment: Moment, honest: Bytes) => Bytes): Script => ({
  flight: replace("finished", make),
});

export const finishedAttacks: readonly Row[] = [
  [
    "a mac of zeros",
    finishing(() => finished(new Uint8Array(32))),
    "bad-finished",
    "ERR_SSL_DIGEST_CHECK_FAILED",
  ],
  ["no mac", finishing(() => finished(none)), "bad-finished", "ERR_SSL_BAD_DIGEST_LENGTH"],
  [
    "a mac cut short",
    finishing(({ mac }) => finished(mac.slice(0, 31))),
    "bad-finished",
    "ERR_SSL_BAD_DIGEST_LENGTH",
  ],
  [
    "a mac with a byte more",
    finishing(({ mac }) => finished(concatBytes(mac, Uint8Array.of(0)))),
    "bad-finished",
    "ERR_SSL_BAD_DIGEST_LENGTH",
  ],
  [
    "a mac of tls 1.2's length",
    finishing(({ mac }) => finished(mac.slice(0, 12))),
    "bad-finished",
    "ERR_SSL_BAD_DIGEST_LENGTH",
  ],
  [
    "the transcript's hash",
    finishing(({ transcript }) => finished(transcript)),
    "bad-finished",
    "ERR_SSL_DIGEST_CHECK_FAILED",
  ],
];
