// Stands on a link between two parts, passes everything on, and keeps a copy.
import { connect, createServer, type Socket } from "node:net";

export type Tap = {
  readonly address: string;
  readonly url: (path?: string) => string;
  /** Everything that has passed, in both directions. */
  readonly captured: () => Buffer;
  readonly close: () => void;
};

/** Opens a tap in front of a host and port on loopback. */
export async function openTap(target: string): Promise<Tap> {
  const { hostname, port } = new URL(target);
  const pieces: Buffer[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((incoming) => {
    const outgoing = connect(Number(port), hostname);
    for (const [from, to] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      sockets.add(from);
      from.on("data", (piece: Buffer) => pieces.push(piece));
      from.on("error", () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const bound = server.address();
  const tapPort = typeof bound === "object" && bound !== null ? bound.port : 0;
  const address = `127.0.0.1:${tapPort}`;
  return {
    address,
    url: (path = "") => `http://${address}${path}`,
    captured: () => Buffer.concat(pieces),
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
