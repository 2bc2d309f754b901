// The one profile of TLS 1.3 that this client speaks: what it offers, and how large anything may be (RFC 8446).

/** A cipher suite of TLS 1.3; lengths in bytes (RFC 8446 Appendix B.4). */
export type CipherSuite = {
  readonly id: number;
  readonly name: "TLS_AES_128_GCM_SHA256" | "TLS_AES_256_GCM_SHA384";
  readonly hash: "sha256" | "sha384";
  readonly hashLength: number;
  readonly keyLength: number;
};

/** What is offered, the preferred one first. */
export const cipherSuites: readonly CipherSuite[] = [
  { id: 0x1301, name: "TLS_AES_128_GCM_SHA256", hash: "sha256", hashLength: 32, keyLength: 16 },
  { id: 0x1302, name: "TLS_AES_256_GCM_SHA384", hash: "sha384", hashLength: 48, keyLength: 32 },
];

/** Groups by their code points; the first is ML-KEM-768 and X25519 together (draft-ietf-tls-ecdhe-mlkem). */
export const groupId = { X25519MLKEM768: 0x11ec, X25519: 0x001d } as const;
export type GroupName = keyof typeof groupId;

export const ecdsaSecp256r1Sha256 = 0x0403;
export const tls12 = 0x0303;
export const tls13 = 0x0304;

export const contentType = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;
export type ContentType = (typeof contentType)[keyof typeof contentType];

export const handshakeType = {
  clientHello: 1,
  serverHello: 2,
  newSessionTicket: 4,
  encryptedExtensions: 8,
  certificate: 11,
  certificateVerify: 15,
  finished: 20,
  keyUpdate: 24,
} as const;
export type HandshakeType = (typeof handshakeType)[keyof typeof handshakeType];

export const extensionType = {
  supportedGroups: 10,
  signatureAlgorithms: 13,
  alpn: 16,
  supportedVersions: 43,
  keyShare: 51,
} as const;

/** Longest body of a handshake message of the server's, in bytes; a message of any other type is never waited for. */
export const maxMessage: Readonly<Partial<Record<number, number>>> = {
  [handshakeType.serverHello]: 2048, // a hybrid key share has 1120
  [handshakeType.encryptedExtensions]: 1024,
  [handshakeType.certificate]: 4096, // one certificate of P-256
  [handshakeType.certificateVerify]: 256,
  [handshakeType.finished]: 48,
  [handshakeType.keyUpdate]: 1,
};

/** Longest plaintext of a record, and what protection may add to it (RFC 8446 Sections 5.1 and 5.2). */
export const maxPlaintext = 1 << 14;
export const maxExpansion = 256;
/** Records under one key, below the 2^24.5 that AES-GCM is good for (RFC 8446 Section 5.5). */
export const maxRecords = 1 << 24;
/** Records and key updates in a row that bring no data; what goes on longer than that only keeps this end busy. */
export const maxIdleRecords = 16;
