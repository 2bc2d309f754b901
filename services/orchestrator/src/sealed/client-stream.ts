// The client's session. It is carried in flights, each the body of one exchange, and who carries it sees ciphertext
// only: here is said when a flight is over.
import type { Duplex } from "node:stream";
import { ByteWriter } from "@sotto/base";
import { type Channel, messageType } from "@sotto/sealed/child";

export type ClientStream = {
  readonly stream: Duplex;
  /** Nothing more is said for now to what has come so far. */
  readonly endFlight: () => void;
};

/** Opens the client's stream; its first flight ends by itself. */
export function openClientStream(channel: Channel): ClientStream {
  let opened = false;
  const stream = channel.open("client");
  stream.onWrite = () => {
    if (opened) return;
    // The server's first flight leaves in one go, and nobody says so: it is over once a turn of the loop has brought
    // nothing more. What came later would go with the next exchange.
    opened = true;
    const { received } = stream; // what comes meanwhile belongs to another flight
    setImmediate(() => setImmediate(() => endFlight(received)));
  };
  const endFlight = (received: number): void => {
    channel.send(messageType.flight, new ByteWriter().u32(received).finish());
  };
  return { stream, endFlight: () => (opened ? endFlight(stream.received) : undefined) };
}
