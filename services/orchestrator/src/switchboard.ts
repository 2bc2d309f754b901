// The part that accepts connections: gives every session a handle and a sealed process, and moves ciphertext between
// the two, nothing else.
import { type Bytes, type Clock, encodeHex, type Random, readBody } from "@sotto/base";
import { problem } from "@sotto/kit";
import {
  type Attest,
  maxPiece,
  messageType,
  type Outcome,
  openClientDesk,
  type ProcessPool,
  SealedError,
} from "@sotto/sealed";
import { FlightCarrier, type FlightSink } from "./flight-carrier.ts";
import type { SessionProcess } from "./session-process.ts";

/** Limits of the switchboard; times in milliseconds. */
export type SwitchboardLimits = {
  readonly maxBodyBytes: number;
  /** What a session's client may send in all. */
  readonly maxSessionBytes: number;
  readonly idleMs: number;
  readonly lifetimeMs: number;
};

const maxBodyBytes = 1024 * 1024 + 64 * 1024; // the largest request, with its TLS records

export const defaultSwitchboardLimits: SwitchboardLimits = {
  maxBodyBytes,
  maxSessionBytes: maxBodyBytes + 64 * 1024, // one request, and the handshake before it
  idleMs: 120_000,
  lifetimeMs: 600_000,
};

export type SwitchboardDependencies = {
  readonly processes: ProcessPool<SessionProcess>;
  readonly attest: Attest;
  /** Whether questions are taken now. */
  readonly isOpen: () => boolean;
  readonly onEnd: (outcome: Outcome) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits?: SwitchboardLimits;
};

export type Switchboard = {
  readonly handle: (request: Request) => Promise<Response>;
  readonly sessionCount: () => number;
  /** Ends every session, the ones that are being answered too. */
  readonly dropAll: () => void;
  readonly close: () => void;
};

type Session = {
  readonly process: SessionProcess;
  readonly carrier: FlightCarrier;
  readonly expiresAt: number;
  /** Ends it at once, however long its process takes to be gone. */
  readonly drop: () => void;
  usedAt: number;
  receivedBytes: number;
};

const retryAfterMs = 1000;
const highWaterBytes = 256 * 1024;
const sweepMs = 1000;

/** Wires a switchboard: `POST /sessions` opens a session, `POST /sessions/<handle>` carries one exchange of it. */
export function createSwitchboard(dependencies: SwitchboardDependencies): Switchboard {
  const { processes, attest, clock, random, onEnd } = dependencies;
  const limits = dependencies.limits ?? defaultSwitchboardLimits;
  const sessions = new Map<string, Session>();

  const dropAll = (): void => {
    for (const { drop } of sessions.values()) drop();
  };
  const sweep = setInterval(() => {
    const now = clock();
    for (const { expiresAt, usedAt, drop } of sessions.values()) {
      if (now > expiresAt || now > usedAt + limits.idleMs) drop();
    }
  }, sweepMs).unref();

  const open = (process: SessionProcess, receivedBytes: number): { handle: string; session: Session } => {
    const handle = encodeHex(random(16));
    const carrier = new FlightCarrier();
    const now = clock();
    const drop = (): void => {
      sessions.delete(handle);
      carrier.abort();
      process.kill();
    };
    const expiresAt = now + limits.lifetimeMs;
    const session: Session = { process, carrier, expiresAt, drop, usedAt: now, receivedBytes };
    let outcome: Outcome | undefined;
    const desk = openClientDesk({ process: { ...process, kill: drop }, role: "orchestrator", attest, clock });
    sessions.set(handle, session);
    process.assign({
      bytes: (_name, bytes) => {
        session.usedAt = clock();
        return carrier.write(bytes);
      },
      flight: (received) => carrier.endFlight(received),
      end: () => carrier.finish(),
      asked: (type, content) => {
        if (type === "attest") void desk(content);
        else drop(); // there is no engine to take turns with
      },
      done: (given) => {
        outcome = given;
        carrier.finish();
      },
    });
    process.ended.then(() => {
      sessions.delete(handle);
      carrier.abort();
      onEnd(outcome ?? "failed");
    });
    process.send(messageType.assign);
    return { handle, session };
  };

  const admit = async (body: Bytes): Promise<Response> => {
    if (!dependencies.isOpen()) return problem(503, "inference-off");
    let process: SessionProcess;
    try {
      process = await processes.take();
    } catch (error) {
      if (!(error instanceof SealedError)) throw error;
      return problem(503, "busy", { retryAfterMs });
    }
    if (!dependencies.isOpen()) {
      process.kill();
      return problem(503, "inference-off");
    }
    const { handle, session } = open(process, body.length);
    return exchange(session, body, { "sotto-session": handle });
  };

  const handle = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    const match = /^\/sessions(?:\/([0-9a-f]{32}))?$/.exec(pathname);
    if (match === null) return problem(404, "not-found");
    if (request.method !== "POST") return problem(405, "method-not-allowed");
    const body = await readBody(request, limits.maxBodyBytes);
    if (body === undefined) return problem(413, "too-large");
    const known = match[1];
    if (known === undefined) return admit(body);
    const session = sessions.get(known);
    if (session === undefined) return problem(404, "unknown-session");
    if (!dependencies.isOpen()) return problem(503, "inference-off");
    session.receivedBytes += body.length;
    if (session.receivedBytes > limits.maxSessionBytes) {
      session.drop();
      return problem(413, "too-large");
    }
    session.usedAt = clock();
    return exchange(session, body, {});
  };

  return {
    handle,
    sessionCount: () => sessions.size,
    dropAll,
    close: () => {
      clearInterval(sweep);
      dropAll();
    },
  };
}

function exchange(
  { process, carrier, drop }: Session,
  input: Bytes,
  headers: Record<string, string>,
): Response {
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const sink: FlightSink = {
          write: (bytes) => {
            controller.enqueue(bytes);
            return (controller.desiredSize ?? 0) > 0;
          },
          end: () => controller.close(),
          abort: () => controller.error(new Error("session ended early")),
        };
        // What is long reaches the process in several pieces, and only the last of them ends its flight.
        carrier.begin(sink, Math.max(1, Math.ceil(input.length / maxPiece)));
        process.write("client", input);
      },
      pull: () => process.resume(),
      // Who leaves in the middle of an answer has left the session.
      cancel: drop,
    },
    { highWaterMark: highWaterBytes, size: (chunk) => chunk.length },
  );
  return new Response(body, { headers: { "content-type": "application/octet-stream", ...headers } });
}
