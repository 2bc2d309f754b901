// Keys and records of the hostile server (RFC 8446 Sections 5 and 7), on node:crypto and on nothing of `src`, so that the
// client meets a second implementation.
import { createCipheriv, createDecipheriv, createHmac, hash } from "node:crypto";
import { type Bytes, ByteWriter, concatBytes, copyBytes, encodeUtf8 } from "@sotto/base";

/** Cipher suites that the hostile server has keys for (RFC 8446 Appendix B.4). */
export const suites = {
  aes128: { id: 0x1301, hash: "sha256", cipher: "aes-128-gcm", keyLength: 16, hashLength: 32 },
  aes256: { id: 0x1302, hash: "sha384", cipher: "aes-256-gcm", keyLength: 32, hashLength: 48 },
} as const;
export type Suite = (typeof suites)[keyof typeof suites];

const none = new Uint8Array();

export function digestOf(suite: Suite, ...parts: readonly Uint8Array[]): Bytes {
  return copyBytes(hash(suite.hash, concatBytes(...parts), "buffer"));
}

export function macOf(suite: Suite, key: Uint8Array, data: Uint8Array): Bytes {
  return copyBytes(createHmac(suite.hash, key).update(data).digest());
}

/** `HKDF-Expand-Label`, block after block (RFC 8446 Section 7.1, RFC 5869 Section 2.3). */
export function labelled(
  suite: Suite,
  secret: Uint8Array,
  label: string,
  context: Uint8Array,
  length: number = suite.hashLength,
): Bytes {
  const name = encodeUtf8(`tls13 ${label}`);
  const info = new ByteWriter().u16(length).vector(1, name).vector(1, context).finish();
  let output: Bytes = none;
  let block: Bytes = none;
  for (let count = 1; output.length < length; count += 1) {
    block = macOf(suite, secret, concatBytes(block, info, Uint8Array.of(count)));
    output = concatBytes(output, block);
  }
  return output.slice(0, length);
}

/** Secrets of a whole connection, each from what its transcript was. */
export class Schedule {
  readonly #suite: Suite;
  readonly #handshake: Bytes;
  readonly #master: Bytes;

  constructor(suite: Suite, shared: Uint8Array) {
    const zeros = new Uint8Array(suite.hashLength);
    const empty = digestOf(suite);
    this.#suite = suite;
    const early = macOf(suite, zeros, zeros);
    this.#handshake = macOf(suite, labelled(suite, early, "derived", empty), shared);
    this.#master = macOf(suite, labelled(suite, this.#handshake, "derived", empty), zeros);
  }

  handshake(side: "c" | "s", transcript: Bytes): Bytes {
    return labelled(this.#suite, this.#handshake, `${side} hs traffic`, transcript);
  }

  application(side: "c" | "s", transcript: Bytes): Bytes {
    return labelled(this.#suite, this.#master, `${side} ap traffic`, transcript);
  }

  /** `verify_data` (RFC 8446 Section 4.4.4). */
  finished(traffic: Bytes, transcript: Bytes): Bytes {
    return macOf(this.#suite, labelled(this.#suite, traffic, "finished", none), transcript);
  }

  /** `TLS-Exporter` (RFC 8446 Section 7.5). */
  exporter(transcript: Bytes, label: string, context: Uint8Array, length: number): Bytes {
    const secret = labelled(this.#suite, this.#master, "exp master", transcript);
    const derived = labelled(this.#suite, secret, label, digestOf(this.#suite));
    return labelled(this.#suite, derived, "exporter", digestOf(this.#suite, context), length);
  }
}

/** How a record is to differ from a good one. */
export type Shape = {
  readonly outerType?: number;
  readonly version?: number;
  /** Zeros after the inner content type. */
  readonly padding?: number;
  /** Leaves the inner content type out. */
  readonly untyped?: boolean;
  /** The length to state instead of the true one. */
  readonly statedLength?: number;
};

/** `type || version || length || fragment`, without any check. */
export function plainRecord(type: number, content: Uint8Array, shape: Shape = {}): Bytes {
  return new ByteWriter()
    .u8(shape.outerType ?? type)
    .u16(shape.version ?? 0x0303)
    .u16(shape.statedLength ?? content.length)
    .bytes(content)
    .finish();
}

/** One direction under one traffic secret after the other. */
export class Protection {
  readonly #suite: Suite;
  #secret: Bytes;
  #sequence = 0n;

  constructor(suite: Suite, secret: Bytes) {
    this.#suite = suite;
    this.#secret = secret;
  }

  /** Moves on to the next key (RFC 8446 Section 7.2). */
  update(): void {
    this.#secret = labelled(this.#suite, this.#secret, "traffic upd", none);
    this.#sequence = 0n;
  }

  /** A protected record around any content type, of any size. */
  seal(type: number, content: Uint8Array, shape: Shape = {}): Bytes {
    const inner = new ByteWriter().bytes(content);
    if (shape.untyped !== true) inner.u8(type);
    const plaintext = inner.zeros(shape.padding ?? 0).finish();
    const length = Math.min(plaintext.length + 16, 0xffff);
    const head = plainRecord(23, none, { ...shape, statedLength: shape.statedLength ?? length });
    const { key, nonce } = this.#next();
    const cipher = createCipheriv(this.#suite.cipher, key, nonce).setAAD(head);
    return concatBytes(head, cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
  }

  /** Inner type and content of a record of the client's; throws where it does not open. */
  open(record: Uint8Array): { readonly type: number; readonly content: Bytes } {
    const { key, nonce } = this.#next();
    const decipher = createDecipheriv(this.#suite.cipher, key, nonce)
      .setAAD(record.subarray(0, 5))
      .setAuthTag(record.subarray(-16));
    const inner = concatBytes(decipher.update(record.subarray(5, -16)), decipher.final());
    const end = inner.findLastIndex((byte) => byte !== 0);
    return { type: inner[end] ?? 0, content: inner.slice(0, Math.max(end, 0)) };
  }

  #next() {
    const key = labelled(this.#suite, this.#secret, "key", none, this.#suite.keyLength);
    const iv = labelled(this.#suite, this.#secret, "iv", none, 12);
    const nonce = new ByteWriter().zeros(4).u64(this.#sequence).finish();
    this.#sequence += 1n;
    return { key, nonce: nonce.map((byte, index) => byte ^ (iv[index] ?? 0)) };
  }
}
