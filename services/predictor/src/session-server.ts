// Accepts connections and gives each a sealed process; moves ciphertext between the two, and nothing else.
import { createServer, type Socket } from "node:net";
import type { Clock } from "@sotto/base";
import {
  type Attest,
  linkSocket,
  messageType,
  type Outcome,
  openClientDesk,
  type ProcessPool,
} from "@sotto/sealed";
import type { SessionProcess } from "./session-process.ts";
import type { TurnQueue } from "./turn-queue.ts";

export type SessionServerOptions = {
  readonly port: number;
  readonly role: "predictor" | "guard";
  readonly processes: ProcessPool<SessionProcess>;
  readonly attest: Attest;
  readonly clock: Clock;
  readonly turns: TurnQueue;
  /** Whether sessions are taken now. */
  readonly isOpen: () => boolean;
  /** Connections at once, those that wait for a process among them. */
  readonly maxConnections: number;
  /** How long a session may take to be attested, waiting for the hardware included; milliseconds. */
  readonly attestMs: number;
  /** How long a session may live, the wait for its question included; milliseconds. */
  readonly lifetimeMs: number;
  readonly onEnd: (outcome: Outcome) => void;
};

/** A listening server; `cutAll` ends every session, `close` the server with them. */
export type SessionServer = {
  readonly address: string;
  readonly cutAll: () => void;
  readonly close: () => Promise<void>;
};

/** Listens on loopback; port 0 takes a free one. */
export function serveSessions(options: SessionServerOptions): Promise<SessionServer> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => {
    // Whoever is turned away is cut off without a word: there is no session yet to say it in.
    socket.on("error", () => socket.destroy());
    if (!options.isOpen() || sockets.size >= options.maxConnections) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    options.processes.take().then(
      (process) => carry(options, process, socket),
      () => socket.destroy(),
    );
  });
  const cutAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      resolve({
        address: `tcp://127.0.0.1:${port}`,
        cutAll,
        close: () =>
          new Promise((done) => {
            cutAll();
            server.close(() => done());
          }),
      });
    });
  });
}

function carry(options: SessionServerOptions, process: SessionProcess, socket: Socket): void {
  const { role, attest, clock, turns } = options;
  let outcome: Outcome | undefined;
  let leaveTurns: (() => void) | undefined;
  const lifetime = setTimeout(process.kill, options.lifetimeMs);
  const attesting = setTimeout(process.kill, options.attestMs);
  const desk = openClientDesk({ process, role, attest, clock });
  process.handle({
    ...linkSocket(process, "client", socket),
    asked: (type, content) => {
      if (type === "attest") desk(content).finally(() => clearTimeout(attesting));
      else if (type === "turn" && leaveTurns === undefined) {
        leaveTurns = turns.enter(() => process.send(messageType.go));
      } else process.kill();
    },
    done: (given) => {
      outcome = given;
      leaveTurns?.();
    },
  });
  socket.on("close", process.kill);
  process.ended.then(() => {
    clearTimeout(lifetime);
    clearTimeout(attesting);
    leaveTurns?.();
    // What it said before it ended is on its way; what it did not say to its end must not look whole.
    if (outcome === undefined) socket.destroy();
    else socket.end();
    options.onEnd(outcome ?? "failed");
  });
  if (socket.destroyed || !options.isOpen()) {
    process.kill();
    socket.destroy();
    return;
  }
  process.send(messageType.assign);
  socket.resume();
}
