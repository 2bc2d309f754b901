// What the server says in a handshake, read against what was offered: what was not asked for is refused (RFC 8446
// Sections 4.1.3, 4.2, 4.3.1 and 4.4).
import { ByteReader, type Bytes, decodeUtf8, encodeHex } from "@sotto/base";
import {
  type CipherSuite,
  cipherSuites,
  ecdsaSecp256r1Sha256,
  extensionType,
  type GroupName,
  groupId,
  tls12,
  tls13,
} from "./parameters.ts";
import { strictly, TlsError } from "./tls-error.ts";

/** The suite, and the server's part of the key exchange. */
export type ServerHello = { readonly suite: CipherSuite; readonly group: GroupName; readonly share: Bytes };

// The random of a ServerHello that asks for another ClientHello: SHA-256 of "HelloRetryRequest".
const retryRandom = "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c";
const maxExtensionBytes = 2048;

/** Reads a ServerHello against the groups that were offered; throws `TlsError`. */
export function parseServerHello(body: Bytes, offered: readonly GroupName[]): ServerHello {
  return strictly("server hello", () => {
    const reader = new ByteReader(body);
    if (reader.u16() !== tls12) throw new TlsError("tls-version", "server hello: version is not 3.3");
    const random = encodeHex(reader.bytes(32));
    // What was asked for is all that there is: a server that wants something else has nothing in common with it.
    if (random === retryRandom)
      throw new TlsError("hello-retry", "server hello: asks for another client hello");
    const sessionId = reader.vector(1, 32);
    const suiteId = reader.u16();
    const compression = reader.u8();
    // TLS 1.2 has no extensions here, or others: its version explains more than what differs besides.
    const extensions =
      reader.remaining === 0
        ? new Map<number, Bytes>()
        : parseExtensions(reader.vector(2, maxExtensionBytes));
    reader.end();
    const version = extensions.get(extensionType.supportedVersions);
    if (version === undefined) throw new TlsError("tls-version", "server hello: not tls 1.3");
    if (readWhole(version, (it) => it.u16()) !== tls13)
      throw new TlsError("tls-version", "server hello: not tls 1.3");
    allowOnly(extensions, extensionType.supportedVersions, extensionType.keyShare);
    if (sessionId.length > 0)
      throw new TlsError("illegal-parameter", "server hello: session id was not offered");
    if (compression !== 0) throw new TlsError("illegal-parameter", "server hello: compression");
    const suite = cipherSuites.find(({ id }) => id === suiteId);
    if (suite === undefined)
      throw new TlsError("illegal-parameter", "server hello: cipher suite was not offered");
    return { suite, ...parseKeyShare(extensions.get(extensionType.keyShare), offered) };
  });
}

function parseKeyShare(
  content: Bytes | undefined,
  offered: readonly GroupName[],
): Omit<ServerHello, "suite"> {
  if (content === undefined) throw new TlsError("missing-extension", "server hello: no key share");
  return readWhole(content, (reader) => {
    const id = reader.u16();
    const share = reader.vector(2, maxExtensionBytes);
    const group = offered.find((name) => groupId[name] === id);
    if (group !== undefined) return { group, share };
    throw id === groupId.X25519
      ? new TlsError("classical-downgrade", "server hello: key exchange has no post-quantum half")
      : new TlsError("illegal-parameter", "server hello: group was not offered");
  });
}

/** Reads EncryptedExtensions, which must choose this protocol (RFC 7301 Section 3.1); throws `TlsError`. */
export function parseEncryptedExtensions(body: Bytes, alpn: string): void {
  strictly("encrypted extensions", () => {
    const extensions = readWhole(body, (reader) => parseExtensions(reader.vector(2, maxExtensionBytes)));
    allowOnly(extensions, extensionType.alpn, extensionType.supportedGroups);
    const groups = extensions.get(extensionType.supportedGroups);
    // For another session, which there is none of; but well-formed.
    if (groups !== undefined) readWhole(groups, checkGroupList);
    const protocol = extensions.get(extensionType.alpn);
    if (protocol === undefined)
      throw new TlsError("wrong-protocol", "server speaks no protocol that was offered");
    const chosen = readWhole(protocol, (reader) =>
      readWhole(reader.vector(2, maxExtensionBytes), (list) => list.vector(1, 255)),
    );
    if (decodeUtf8(chosen) !== alpn) throw new TlsError("wrong-protocol", "server speaks another protocol");
  });
}

function checkGroupList(reader: ByteReader): void {
  const list = reader.vector(2, maxExtensionBytes);
  if (list.length < 2 || list.length % 2 !== 0)
    throw new TlsError("malformed", "encrypted extensions: supported groups not in their form");
}

/** Reads a Certificate message: one certificate, as DER, without extensions; throws `TlsError`. */
export function parseCertificateMessage(body: Bytes): Bytes {
  return strictly("certificate message", () => {
    const [context, entries] = readWhole(body, (reader) => [reader.vector(1, 255), reader.vector(3, 0xffff)]);
    // A context is for certificates that a server asks of its client.
    if (context.length > 0) throw new TlsError("illegal-parameter", "certificate message: has a context");
    if (entries.length === 0) throw new TlsError("bad-certificate", "certificate message: no certificate");
    const list = new ByteReader(entries);
    const certificate = list.vector(3, 0xffff);
    const extensions = parseExtensions(list.vector(2, maxExtensionBytes));
    if (list.remaining > 0)
      throw new TlsError("bad-certificate", "certificate message: more than one certificate");
    allowOnly(extensions);
    if (certificate.length === 0) throw new TlsError("malformed", "certificate message: empty certificate");
    return certificate;
  });
}

/** Reads a CertificateVerify and returns its signature, as DER; throws `TlsError`. */
export function parseCertificateVerify(body: Bytes): Bytes {
  return strictly("certificate verify", () =>
    readWhole(body, (reader) => {
      if (reader.u16() !== ecdsaSecp256r1Sha256)
        throw new TlsError("wrong-signature-algorithm", "certificate verify: not ecdsa_secp256r1_sha256");
      return reader.vector(2, 0xff);
    }),
  );
}

/** Reads a KeyUpdate: whether this end must change its key too (RFC 8446 Section 4.6.3); throws `TlsError`. */
export function parseKeyUpdate(body: Bytes): boolean {
  return strictly("key update", () => {
    const request = readWhole(body, (reader) => reader.u8());
    if (request > 1) throw new TlsError("illegal-parameter", "key update: neither requested nor not");
    return request === 1;
  });
}

/** Extensions by their type, each once (RFC 8446 Section 4.2). */
function parseExtensions(bytes: Bytes): Map<number, Bytes> {
  const list = new ByteReader(bytes);
  const extensions = new Map<number, Bytes>();
  while (list.remaining > 0) {
    const type = list.u16();
    if (extensions.has(type)) throw new TlsError("illegal-parameter", "extension is repeated");
    extensions.set(type, list.vector(2, maxExtensionBytes));
  }
  return extensions;
}

function allowOnly(extensions: ReadonlyMap<number, Bytes>, ...types: readonly number[]): void {
  for (const type of extensions.keys()) {
    if (!types.includes(type)) throw new TlsError("unexpected-extension", "extension was not asked for");
  }
}

function readWhole<T>(bytes: Bytes, read: (reader: ByteReader) => T): T {
  const reader = new ByteReader(bytes);
  const value = read(reader);
  reader.end();
  return value;
}
