// The client's side of a full handshake, one message after another in the one order that there is (RFC 8446 Section 2
// and Appendix A.1). What went wrong is thrown; nothing that came before it is of use then.
import {
  type Bytes,
  concatBytes,
  encodeUtf8,
  equalBytes,
  parseEcdsaSignature,
  type Random,
} from "@sotto/base";
import { serializeClientHello, serializeMessage } from "./client-hello.ts";
import { createKeyShare, type KeyShare } from "./key-exchange.ts";
import {
  applicationTraffic,
  exporterSecret,
  finishedMac,
  handshakeSecret,
  handshakeTraffic,
  hashTranscript,
  masterSecret,
  type TrafficSecrets,
} from "./key-schedule.ts";
import type { HandshakeMessage } from "./message-reader.ts";
import { type CipherSuite, type GroupName, handshakeType } from "./parameters.ts";
import {
  parseCertificateMessage,
  parseCertificateVerify,
  parseEncryptedExtensions,
  parseServerHello,
} from "./server-messages.ts";
import { TlsError } from "./tls-error.ts";

export type HandshakeOptions = {
  /** Groups that are offered, with a key share each; a server must take one of them. */
  readonly groups: readonly GroupName[];
  /** The one protocol that is offered and required (RFC 7301). */
  readonly alpn: string;
  readonly random: Random;
  /**
   * Judges the server's one certificate (DER) and returns its SubjectPublicKeyInfo (DER, P-256), whose key the server
   * must then show that it has. What it throws ends the handshake.
   */
  readonly judgeCertificate: (certificate: Bytes) => Bytes;
};

/** Whom the handshake was made with. */
export type TlsPeer = {
  readonly certificate: Bytes;
  readonly spki: Bytes;
  readonly group: GroupName;
  readonly cipherSuite: CipherSuite["name"];
  readonly alpn: string;
};

/** What a message calls for: other keys, the client's own last message, or nothing. */
export type HandshakeStep =
  | { readonly kind: "none" }
  | { readonly kind: "protect"; readonly suite: CipherSuite; readonly traffic: TrafficSecrets }
  | {
      readonly kind: "finish";
      readonly finished: Bytes;
      readonly traffic: TrafficSecrets;
      readonly exporter: Bytes;
      readonly peer: TlsPeer;
    };

const order = [
  handshakeType.serverHello,
  handshakeType.encryptedExtensions,
  handshakeType.certificate,
  handshakeType.certificateVerify,
  handshakeType.finished,
] as const;

// What a server signs comes after 64 spaces and these words (RFC 8446 Section 4.4.3).
const signedPrefix = concatBytes(
  new Uint8Array(64).fill(0x20),
  encodeUtf8("TLS 1.3, server CertificateVerify"),
  new Uint8Array(1),
);
const coordinateLength = 32; // of P-256

/** One handshake; good for one use. */
export class Handshake {
  readonly #options: HandshakeOptions;
  #shares: readonly KeyShare[];
  #isDestroyed = false;
  readonly #transcript: Bytes[];
  #next = 0;
  #agreed: { readonly suite: CipherSuite; readonly group: GroupName; readonly secret: Bytes } | undefined;
  #traffic: TrafficSecrets | undefined;
  #certificate: { readonly der: Bytes; readonly spki: Bytes } | undefined;

  private constructor(options: HandshakeOptions, shares: readonly KeyShare[], hello: Bytes) {
    this.#options = options;
    this.#shares = shares;
    this.#transcript = [hello];
  }

  /** Makes key shares and the ClientHello; throws `unsupported-platform`. */
  static async create(options: HandshakeOptions): Promise<{ handshake: Handshake; hello: Bytes }> {
    const { groups, alpn, random } = options;
    const shares = await Promise.all(groups.map((group) => createKeyShare(group, random)));
    const hello = serializeClientHello(random(32), shares, alpn);
    return { handshake: new Handshake(options, shares, hello), hello };
  }

  /** Type of the message that must come now; undefined after the last. */
  get expected(): number | undefined {
    return order[this.#next];
  }

  /** Takes the message whose turn it is; throws `TlsError`, or what `judgeCertificate` threw. */
  async take({ type, body, raw }: HandshakeMessage): Promise<HandshakeStep> {
    if (type !== this.expected) throw new TlsError("unexpected-message", "handshake: not its turn");
    this.#next += 1;
    return this.#read(type, body, raw);
  }

  async #read(type: number, body: Bytes, raw: Bytes): Promise<HandshakeStep> {
    switch (type) {
      case handshakeType.serverHello:
        return this.#agree(body, raw);
      case handshakeType.encryptedExtensions:
        parseEncryptedExtensions(body, this.#options.alpn);
        break;
      case handshakeType.certificate: {
        const der = parseCertificateMessage(body);
        this.#certificate = { der, spki: this.#options.judgeCertificate(der) };
        break;
      }
      case handshakeType.certificateVerify:
        await this.#verifyCertificate(body);
        break;
      default:
        return this.#finish(body, raw);
    }
    this.#transcript.push(raw);
    return { kind: "none" };
  }

  async #agree(body: Bytes, raw: Bytes): Promise<HandshakeStep> {
    const { suite, group, share } = parseServerHello(body, this.#options.groups);
    const own = this.#shares.find((candidate) => candidate.group === group);
    if (own === undefined) throw new TlsError("illegal-parameter", "server hello: group without a share");
    const shared = await own.agree(share);
    if (this.#isDestroyed) {
      shared.fill(0);
      throw new TlsError("closed", "session was dropped");
    }
    const secret = handshakeSecret(suite, shared);
    shared.fill(0);
    this.#transcript.push(raw);
    this.#agreed = { suite, group, secret };
    this.#traffic = handshakeTraffic(suite, secret, hashTranscript(suite, this.#transcript));
    // Copies, for whoever protects records with them wipes them.
    const { client, server } = this.#traffic;
    return { kind: "protect", suite, traffic: { client: client.slice(), server: server.slice() } };
  }

  /** The server's signature over everything so far (RFC 8446 Section 4.4.3). */
  async #verifyCertificate(body: Bytes): Promise<void> {
    const { suite } = required(this.#agreed);
    const signature = parseCertificateVerify(body);
    const signed = concatBytes(signedPrefix, hashTranscript(suite, this.#transcript));
    if (!(await verifyEcdsa(required(this.#certificate).spki, signature, signed)))
      throw new TlsError("bad-signature", "certificate verify: not signed by the certificate's key");
  }

  #finish(body: Bytes, raw: Bytes): HandshakeStep {
    const { suite, group, secret } = required(this.#agreed);
    const traffic = required(this.#traffic);
    const { der, spki } = required(this.#certificate);
    if (!equalBytes(body, finishedMac(suite, traffic.server, hashTranscript(suite, this.#transcript))))
      throw new TlsError("bad-finished", "finished: the server saw another handshake");
    this.#transcript.push(raw);
    const transcript = hashTranscript(suite, this.#transcript);
    const master = masterSecret(suite, secret);
    const step: HandshakeStep = {
      kind: "finish",
      finished: serializeMessage(handshakeType.finished, finishedMac(suite, traffic.client, transcript)),
      traffic: applicationTraffic(suite, master, transcript),
      exporter: exporterSecret(suite, master, transcript),
      peer: { certificate: der, spki, group, cipherSuite: suite.name, alpn: this.#options.alpn },
    };
    master.fill(0);
    this.destroy();
    return step;
  }

  /** Wipes the secrets of the handshake. */
  destroy(): void {
    this.#isDestroyed = true;
    for (const { destroy } of this.#shares) destroy();
    this.#shares = [];
    this.#agreed?.secret.fill(0);
    this.#traffic?.client.fill(0);
    this.#traffic?.server.fill(0);
  }
}

async function verifyEcdsa(spki: Bytes, signature: Bytes, signed: Bytes): Promise<boolean> {
  let key: CryptoKey;
  try {
    const curve = { name: "ECDSA", namedCurve: "P-256" };
    key = await crypto.subtle.importKey("spki", spki, curve, false, ["verify"]);
  } catch (cause) {
    throw new TlsError("bad-certificate", "certificate: key is not on p-256", { cause });
  }
  try {
    const raw = parseEcdsaSignature(signature, coordinateLength);
    return await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, raw, signed);
  } catch (cause) {
    throw new TlsError("bad-signature", "certificate verify: signature not in its form", { cause });
  }
}

// The order of messages sees to it; this is for the compiler.
function required<T>(value: T | undefined): T {
  if (value === undefined) throw new TlsError("unexpected-message", "handshake: not its turn");
  return value;
}
