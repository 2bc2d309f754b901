// Protection of records in one direction, under one traffic secret at a time (RFC 8446 Sections 5.2, 5.3 and 7.3).
import { type Bytes, ByteWriter } from "@sotto/base";
import { expandLabel, nextTrafficSecret } from "./key-schedule.ts";
import {
  type CipherSuite,
  type ContentType,
  contentType,
  maxPlaintext,
  maxRecords,
  tls12,
} from "./parameters.ts";
import { TlsError } from "./tls-error.ts";

/** What a record held. */
export type Opened = { readonly type: ContentType; readonly content: Bytes };

const tagLength = 16;
const ivLength = 12;
const headLength = 5;

/** Seals or opens records in their order; a record out of its order does not open. */
export class RecordProtection {
  readonly #suite: CipherSuite;
  #secret: Bytes;
  #key: CryptoKey;
  #iv: Bytes;
  #sequence = 0;
  #isDestroyed = false;

  private constructor(suite: CipherSuite, secret: Bytes, { key, iv }: Keys) {
    this.#suite = suite;
    this.#secret = secret;
    this.#key = key;
    this.#iv = iv;
  }

  /** Takes over `secret`, which is wiped when it has served its time. */
  static async create(suite: CipherSuite, secret: Bytes): Promise<RecordProtection> {
    return new RecordProtection(suite, secret, await deriveKeys(suite, secret));
  }

  /** A whole record around `content` of at most 2^14 bytes. Calls may overlap; each has its own number. */
  async seal(type: ContentType, content: Uint8Array): Promise<Bytes> {
    const inner = new ByteWriter().bytes(content).u8(type).finish();
    const head = recordHead(contentType.applicationData, inner.length + tagLength);
    const sealed = await crypto.subtle.encrypt(this.#next(head), this.#key, inner);
    this.#requireLive();
    const record = new Uint8Array(headLength + sealed.byteLength);
    record.set(head);
    record.set(new Uint8Array(sealed), headLength);
    return record;
  }

  /** Throws `bad-record`, `too-large`, `malformed`. */
  async open(head: Bytes, sealed: Bytes): Promise<Opened> {
    if (sealed.length < 1 + tagLength) throw new TlsError("bad-record", "record: too short");
    const parameters = this.#next(head);
    let inner: Bytes;
    try {
      inner = new Uint8Array(await crypto.subtle.decrypt(parameters, this.#key, sealed));
    } catch (cause) {
      throw new TlsError("bad-record", "record: does not open", { cause });
    }
    this.#requireLive();
    if (inner.length > maxPlaintext + 1) throw new TlsError("too-large", "record: over its limit");
    let end = inner.length - 1;
    while (end >= 0 && inner[end] === 0) end -= 1; // padding
    const type = inner[end];
    if (type === undefined) throw new TlsError("unexpected-message", "record: nothing but padding");
    if (!isProtectedType(type))
      throw new TlsError("unexpected-message", "record: not of a type that is known");
    return { type, content: inner.slice(0, end) };
  }

  /** Goes on with the next key of this direction (RFC 8446 Section 7.2). */
  async update(): Promise<void> {
    this.#requireLive();
    const secret = nextTrafficSecret(this.#suite, this.#secret);
    const { key, iv } = await deriveKeys(this.#suite, secret);
    if (this.#isDestroyed) {
      // Of the zeros that are left of the old secret anybody could make the next.
      secret.fill(0);
      iv.fill(0);
    }
    this.#requireLive();
    this.#wipe();
    this.#secret = secret;
    this.#key = key;
    this.#iv = iv;
    this.#sequence = 0;
  }

  /** Wipes what can be wiped; a CryptoKey cannot, and goes with the object. Nothing is sealed or opened any more. */
  destroy(): void {
    this.#isDestroyed = true;
    this.#wipe();
  }

  #wipe(): void {
    this.#secret.fill(0);
    this.#iv.fill(0);
  }

  #requireLive(): void {
    if (this.#isDestroyed) throw new TlsError("closed", "session was dropped");
  }

  #next(head: Bytes): AesGcmParams {
    this.#requireLive();
    if (this.#sequence >= maxRecords)
      throw new TlsError("too-many-records", "record: key has served its time");
    const iv = new Uint8Array(this.#iv);
    const view = new DataView(iv.buffer);
    view.setUint32(ivLength - 4, view.getUint32(ivLength - 4) ^ this.#sequence);
    this.#sequence += 1;
    return { name: "AES-GCM", iv, additionalData: head, tagLength: 8 * tagLength };
  }
}

type Keys = { readonly key: CryptoKey; readonly iv: Bytes };

async function deriveKeys(suite: CipherSuite, secret: Bytes): Promise<Keys> {
  const raw = expandLabel(suite, secret, "key", new Uint8Array(), suite.keyLength);
  const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
  raw.fill(0);
  return { key, iv: expandLabel(suite, secret, "iv", new Uint8Array(), ivLength) };
}

/** `u8 type || u16 0x0303 || u16 length` */
export function recordHead(type: ContentType, length: number): Bytes {
  return new ByteWriter().u8(type).u16(tls12).u16(length).finish();
}

function isProtectedType(type: number): type is ContentType {
  return type === contentType.alert || type === contentType.handshake || type === contentType.applicationData;
}
