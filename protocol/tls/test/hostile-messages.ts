// Handshake messages of the hostile server, written without any check, and the ClientHello read back (RFC 8446 Section 4).
import { ByteReader, type Bytes, ByteWriter, concatBytes, encodeUtf8 } from "@sotto/base";

export const handshake = {
  helloRequest: 0,
  clientHello: 1,
  serverHello: 2,
  newSessionTicket: 4,
  endOfEarlyData: 5,
  encryptedExtensions: 8,
  certificate: 11,
  certificateRequest: 13,
  certificateVerify: 15,
  finished: 20,
  keyUpdate: 24,
  messageHash: 254,
} as const;

export const extensionTypes = {
  serverName: 0,
  statusRequest: 5,
  supportedGroups: 10,
  signatureAlgorithms: 13,
  alpn: 16,
  certificateTimestamp: 18,
  recordSizeLimit: 28,
  preSharedKey: 41,
  earlyData: 42,
  supportedVersions: 43,
  cookie: 44,
  pskModes: 45,
  certificateAuthorities: 47,
  postHandshakeAuth: 49,
  keyShare: 51,
  renegotiationInfo: 0xff01,
} as const;

export const schemes = { p256: 0x0403, p384: 0x0503, rsaPss: 0x0804, ed25519: 0x0807 } as const;
export const groups = { hybrid: 0x11ec, x25519: 0x001d, p256: 0x0017 } as const;

export type Extension = readonly [type: number, data: Uint8Array];

/** `u8 type || u24 length || body` */
export function message(type: number, body: Uint8Array): Bytes {
  return new ByteWriter().u8(type).vector(3, body).finish();
}

export function extensions(list: readonly Extension[]): Bytes {
  const body = new ByteWriter();
  for (const [type, data] of list) body.u16(type).vector(2, data);
  return new ByteWriter().vector(2, body.finish()).finish();
}

export type ServerHello = {
  readonly version: number;
  readonly random: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly suite: number;
  readonly compression: number;
  /** Left out altogether where undefined, as TLS 1.2 allows. */
  readonly extensions: readonly Extension[] | undefined;
};

export function serverHello(hello: ServerHello): Bytes {
  const body = new ByteWriter()
    .u16(hello.version)
    .bytes(hello.random)
    .vector(1, hello.sessionId)
    .u16(hello.suite)
    .u8(hello.compression);
  if (hello.extensions !== undefined) body.bytes(extensions(hello.extensions));
  return message(handshake.serverHello, body.finish());
}

/** Random of a HelloRetryRequest: SHA-256 of that word (RFC 8446 Section 4.1.3). */
export const retryRandom = Uint8Array.fromHex(
  "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c",
);

/** Last bytes of the random of a server that was made to speak something older (RFC 8446 Section 4.1.3). */
export const sentinels = {
  tls12: Uint8Array.fromHex("444f574e47524401"),
  tls11: Uint8Array.fromHex("444f574e47524400"),
} as const;

export const supportedVersion = (version: number): Extension => [
  extensionTypes.supportedVersions,
  new ByteWriter().u16(version).finish(),
];

export const keyShare = (group: number, share: Uint8Array): Extension => [
  extensionTypes.keyShare,
  new ByteWriter().u16(group).vector(2, share).finish(),
];

export const protocols = (...names: readonly string[]): Extension => {
  const list = new ByteWriter();
  for (const name of names) list.vector(1, encodeUtf8(name));
  return [extensionTypes.alpn, new ByteWriter().vector(2, list.finish()).finish()];
};

export function encryptedExtensions(list: readonly Extension[]): Bytes {
  return message(handshake.encryptedExtensions, extensions(list));
}

export type CertificateEntry = {
  readonly certificate: Uint8Array;
  readonly extensions?: readonly Extension[];
};

export function certificates(
  entries: readonly CertificateEntry[],
  context: Uint8Array = new Uint8Array(),
): Bytes {
  const list = new ByteWriter();
  for (const entry of entries) list.vector(3, entry.certificate).bytes(extensions(entry.extensions ?? []));
  return message(
    handshake.certificate,
    new ByteWriter().vector(1, context).vector(3, list.finish()).finish(),
  );
}

/** What a CertificateVerify signs (RFC 8446 Section 4.4.3). */
export function signedContent(side: "server" | "client", transcript: Uint8Array): Bytes {
  const label = encodeUtf8(`TLS 1.3, ${side} CertificateVerify`);
  return concatBytes(new Uint8Array(64).fill(0x20), label, Uint8Array.of(0), transcript);
}

export function certificateVerify(scheme: number, signature: Uint8Array): Bytes {
  return message(handshake.certificateVerify, new ByteWriter().u16(scheme).vector(2, signature).finish());
}

export function finished(mac: Uint8Array): Bytes {
  return message(handshake.finished, mac);
}

export function keyUpdate(requested: number): Bytes {
  return message(handshake.keyUpdate, Uint8Array.of(requested));
}

export function newSessionTicket(ticket: Uint8Array = new Uint8Array(32).fill(7)): Bytes {
  const body = new ByteWriter().u32(7200).u32(1).vector(1, Uint8Array.of(0)).vector(2, ticket);
  return message(handshake.newSessionTicket, body.bytes(extensions([])).finish());
}

export function certificateRequest(context: Uint8Array = new Uint8Array()): Bytes {
  const schemeList = new ByteWriter().vector(2, new ByteWriter().u16(schemes.p256).finish()).finish();
  const list = extensions([[extensionTypes.signatureAlgorithms, schemeList]]);
  return message(handshake.certificateRequest, new ByteWriter().vector(1, context).bytes(list).finish());
}

/** What the server wants to know of a ClientHello. */
export type ClientHello = {
  readonly message: Bytes;
  readonly sessionId: Bytes;
  readonly extensions: ReadonlyMap<number, Bytes>;
  /** Key shares by group. */
  readonly shares: ReadonlyMap<number, Bytes>;
};

/** Reads the handshake message of a ClientHello (RFC 8446 Section 4.1.2). */
export function parseClientHello(bytes: Bytes): ClientHello {
  const reader = new ByteReader(bytes);
  reader.bytes(4 + 2 + 32); // head, version, random
  const sessionId = reader.vector(1, 32);
  reader.vector(2, 0xffff);
  reader.vector(1, 0xff);
  const list = new ByteReader(reader.vector(2, 0xffff));
  reader.end();
  const found = new Map<number, Bytes>();
  while (list.remaining > 0) found.set(list.u16(), list.vector(2, 0xffff));
  const shares = new Map<number, Bytes>();
  const offered = new ByteReader(found.get(extensionTypes.keyShare) ?? Uint8Array.of(0, 0));
  const shareList = new ByteReader(offered.vector(2, 0xffff));
  while (shareList.remaining > 0) shares.set(shareList.u16(), shareList.vector(2, 0xffff));
  return { message: bytes, sessionId, extensions: found, shares };
}
