// The client's end of TLS where the platform brings none: ours.
import type { ByteStream, ConnectOptions, SecureChannel } from "./channel.ts";
import { TlsChannel } from "./tls-channel.browser.ts";

/** What can carry a session's TLS here. */
export type SessionStream = ByteStream;

/** Begins a handshake over a stream, which belongs to the channel from now on. */
export function connectChannel(stream: SessionStream, options: ConnectOptions): SecureChannel {
  return new TlsChannel(stream, options);
}
