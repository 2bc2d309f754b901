// The two streams of a session: bytes of TLS below, and what TLS protects above. Each platform brings its own TLS.
import type { Bytes, Random } from "@sotto/base";

/** A byte stream under a session; belongs to it from then on. */
export type ByteStream = {
  /** The next bytes; undefined at the end; rejects when it broke. One read at a time. */
  readonly read: () => Promise<Bytes | undefined>;
  /** Resolves when the bytes have been taken. One write at a time. */
  readonly write: (bytes: Bytes) => Promise<void>;
  /** Nothing more will be written. */
  readonly end: () => void;
  readonly destroy: () => void;
};

export type ChannelHandlers = {
  /** The handshake was as it must be; what is written before this returns leaves with its last flight. */
  readonly secure: () => void;
  readonly data: (bytes: Uint8Array) => void;
  /** It broke, or was ended by either end: `RatlsError`, unless something threw that should not. */
  readonly fail: (error: Error) => void;
};

/** A TLS connection of the profile, with whatever TLS underneath (RFC 8446). */
export type SecureChannel = {
  /** Called once, in the turn of the loop in which the channel was made. */
  readonly handle: (handlers: ChannelHandlers) => void;
  /** Resolves when the bytes have been handed to the stream below; may never do so once the channel is destroyed. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** Writes the last bytes and closes this direction; resolves when that is done, or the peer has closed meanwhile. */
  readonly end: (bytes: Uint8Array) => Promise<void>;
  /** Stops reading from the stream below; what has been read already may still come. */
  readonly pause: () => void;
  readonly resume: () => void;
  readonly isPaused: () => boolean;
  /** Forgets the keys and destroys the stream below. */
  readonly destroy: () => void;
  readonly isDestroyed: () => boolean;
  /** Keying material of this channel, the same at both ends (RFC 8446 Section 7.5). */
  readonly exportKeyingMaterial: (label: string, context: Bytes, length: number) => Bytes;
};

/** What a client asks of the handshake. */
export type ConnectOptions = {
  /** The one application protocol offered, and insisted on. */
  readonly alpn: string;
  /** Accept X25519 without its post-quantum half. */
  readonly allowClassical: boolean;
  readonly random: Random;
  /** Judges the server's certificate and returns its SubjectPublicKeyInfo; what it throws breaks the channel. */
  readonly judgeCertificate: (certificate: Bytes) => Bytes;
};
