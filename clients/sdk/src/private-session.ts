// One session with one node: token, handshake through the relay, evidence, verdict. Good for one question.
import { AttestationError, type TrustPolicy, type VerifiedNode } from "@sotto/attestation";
import { type Bytes, type Clock, CodedError, type Random } from "@sotto/base";
import { parseToken, serializeAuthorization } from "@sotto/credentials";
import { type ClientSession, openClientSession, RatlsError } from "@sotto/ratls";
import type { DirectorySource, VerifiedDirectory } from "./directory-source.ts";
import { RelayStream } from "./relay-stream.ts";
import { RelayTransport } from "./relay-transport.ts";
import { SottoError } from "./sotto-error.ts";
import type { Wallet } from "./wallet.ts";

export type PrivateSessionDependencies = {
  readonly relayUrl: string;
  readonly directory: Pick<DirectorySource, "get" | "invalidate">;
  readonly wallet: Pick<Wallet, "take">;
  readonly policy: TrustPolicy;
  readonly clock: Clock;
  readonly random: Random;
  readonly fetch: typeof fetch;
  readonly timeoutMs: number;
};

/** A verified session, ready for its question. */
export type PrivateSession = {
  readonly session: ClientSession;
  readonly node: VerifiedNode;
  readonly handle: string;
  readonly directory: VerifiedDirectory;
  readonly readyAt: number;
};

/** Opens a session with a node picked uniformly at random; sends nothing but the handshake before the verdict. */
export async function openPrivateSession(dependencies: PrivateSessionDependencies): Promise<PrivateSession> {
  const directory = await dependencies.directory.get();
  const { token } = await dependencies.wallet.take(directory);
  try {
    return await openWithToken(dependencies, directory, token);
  } catch (error) {
    if (!(error instanceof SottoError) || !isStale(error)) throw error;
    dependencies.directory.invalidate();
    // It could not open the first envelope, so it has not seen the token either: it is good for the next try.
    if (error.code !== "stale-key") throw error;
    return openWithToken(dependencies, await dependencies.directory.get(), token);
  }
}

/** Whether the gateway no longer had the key, at the first exchange or a later one. */
function isStale({ code, cause }: SottoError): boolean {
  return code === "stale-key" || (cause instanceof SottoError && cause.code === "stale-key");
}

async function openWithToken(
  dependencies: PrivateSessionDependencies,
  directory: VerifiedDirectory,
  token: Bytes,
): Promise<PrivateSession> {
  const { relayUrl, policy, clock, random } = dependencies;
  const handle = pickUniformly(directory.nodes, random).handle;
  const transport = new RelayTransport({ relayUrl, fetch: dependencies.fetch }, directory.keyConfig);
  const stream = new RelayStream({
    transport,
    node: handle,
    authorization: serializeAuthorization(parseToken(token)),
  });
  try {
    const session = await openClientSession({
      stream,
      policy,
      role: "orchestrator",
      clock,
      random,
      onFlight: () => stream.endFlight(),
      signal: AbortSignal.timeout(dependencies.timeoutMs),
    });
    await stream.prepareStreaming();
    return { session, node: session.node, handle, directory, readyAt: clock() };
  } catch (cause) {
    stream.destroy();
    // What broke the stream explains more than that the handshake broke.
    if (stream.failure instanceof SottoError) throw stream.failure;
    throw asSottoError(cause);
  }
}

// Trouble on the way, which says nothing about whom one would have talked to. Evidence that is late ends a session,
// but whoever carries it can make it so; the next one starts with evidence of its own.
const lostCodes: ReadonlySet<string> = new Set([
  "truncated",
  "aborted",
  "peer-failed",
  "reattestation-missing",
]);

/** Maps errors of the layers below to what an app acts on. */
export function asSottoError(cause: unknown): Error {
  if (cause instanceof SottoError) return cause;
  if (cause instanceof AttestationError) {
    return new SottoError("verification-failed", `the service could not be verified: ${cause.message}`, {
      cause,
    });
  }
  if (cause instanceof RatlsError && cause.code === "busy")
    return new SottoError("busy", "service is busy", { cause });
  if (cause instanceof RatlsError && cause.code === "unsupported-platform")
    return new SottoError("unsupported-platform", `session: ${cause.message}`, { cause });
  if (cause instanceof RatlsError && lostCodes.has(cause.code)) {
    return new SottoError("session-lost", `session: ${cause.message}`, { cause });
  }
  if (cause instanceof CodedError) {
    return new SottoError("verification-failed", `session refused: ${cause.message}`, { cause });
  }
  return cause instanceof Error ? cause : new SottoError("session-lost", "session failed");
}

/** One element, each with the same probability; refuses an empty list. */
export function pickUniformly<T>(items: readonly T[], random: Random): T {
  // Rejection keeps the choice uniform for any number of items.
  const bound = Math.floor(2 ** 32 / items.length) * items.length;
  for (;;) {
    const draw = new DataView(random(4).buffer).getUint32(0);
    const item = items[draw % items.length];
    if (item === undefined) throw new SottoError("directory-refused", "directory names no node");
    if (draw < bound) return item;
  }
}
