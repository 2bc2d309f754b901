// Attested sessions to predictors, made ahead so that a question waits for none; each carries one request.
import { connect } from "node:net";
import type { TrustPolicy } from "@sotto/attestation";
import { type Clock, CodedError, type Random } from "@sotto/base";
import { type ClientSession, openClientSession } from "@sotto/ratls";

/** Host and port of a predictor: a hint for routing that nothing trusts. */
export type PredictorAddress = { readonly host: string; readonly port: number };

/** No predictor that can be reached is acceptable; the client is told this much. */
export class PredictorError extends CodedError<"predictor-refused"> {}

export type PredictorPoolDependencies = {
  readonly addresses: readonly PredictorAddress[];
  readonly policy: TrustPolicy;
  readonly clock: Clock;
  readonly random: Random;
  readonly size: number;
  readonly maxAgeMs: number;
  readonly timeoutMs: number;
  readonly onRefusal: (code: string) => void;
};

export type PredictorPool = {
  /** A fresh attested session, used by the caller alone; rejects when no predictor can be verified. */
  readonly take: () => Promise<ClientSession>;
  readonly close: () => void;
};

type Ready = { readonly session: ClientSession; readonly openedAt: number };

/** Wires a pool that keeps `size` sessions ready, each to a predictor picked uniformly at random. */
export function createPredictorPool(dependencies: PredictorPoolDependencies): PredictorPool {
  const ready: Ready[] = [];
  let opening = 0;
  let closed = false;
  let retryDelayMs = 100;

  const refill = (): void => {
    while (!closed && ready.length + opening < dependencies.size) {
      opening += 1;
      openSession(dependencies).then(
        (session) => {
          opening -= 1;
          retryDelayMs = 100;
          if (closed) session.close();
          else ready.push({ session, openedAt: dependencies.clock() });
        },
        (error: unknown) => {
          opening -= 1;
          dependencies.onRefusal(codeOf(error));
          retryDelayMs = Math.min(retryDelayMs * 2, 10_000);
          setTimeout(refill, retryDelayMs).unref();
        },
      );
    }
  };
  refill();

  return {
    take: async () => {
      for (let next = ready.shift(); next !== undefined; next = ready.shift()) {
        const fresh = dependencies.clock() - next.openedAt < dependencies.maxAgeMs;
        if (fresh && next.session.isOpen()) {
          setImmediate(refill);
          return next.session;
        }
        next.session.close();
      }
      setImmediate(refill);
      return openSession(dependencies).catch((cause: unknown) => {
        throw new PredictorError("predictor-refused", "no predictor could be verified", { cause });
      });
    },
    close: () => {
      closed = true;
      for (const { session } of ready.splice(0)) session.close();
    },
  };
}

async function openSession(dependencies: PredictorPoolDependencies): Promise<ClientSession> {
  const address = pick(dependencies.addresses, dependencies.random);
  const socket = connect({ host: address.host, port: address.port, noDelay: true });
  // Failures reach the caller through the session; the socket's own event must only not go unheard.
  socket.on("error", () => {});
  // A timer of its own rather than AbortSignal.timeout, which would hold the session until it fires.
  const opening = new AbortController();
  const timer = setTimeout(() => opening.abort(), dependencies.timeoutMs);
  try {
    return await openClientSession({
      stream: socket,
      policy: dependencies.policy,
      role: "predictor",
      clock: dependencies.clock,
      random: dependencies.random,
      signal: opening.signal,
    });
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function pick(addresses: readonly PredictorAddress[], random: Random): PredictorAddress {
  const draw = new DataView(random(4).buffer).getUint32(0);
  const address = addresses[Math.floor((draw / 2 ** 32) * addresses.length)];
  if (address === undefined) throw new Error("no predictor is configured");
  return address;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}
