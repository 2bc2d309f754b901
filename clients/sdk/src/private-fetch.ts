// The SDK's front door: a `fetch` whose requests nobody but an attested, logged service can read.
import { forgetEndorsements, type TrustPolicy, type Verdict } from "@sotto/attestation";
import { type Bytes, type Clock, type Random, systemRandom } from "@sotto/base";
import { ChatError, openAiError, parseChatRequest } from "@sotto/chat";
import { type ExchangeAnswer, sendRequest } from "@sotto/exchange";
import type { ClientSession } from "@sotto/ratls";
import { DirectorySource, type VerifiedDirectory } from "./directory-source.ts";
import { asSottoError, openPrivateSession, type PrivateSession } from "./private-session.ts";
import { SottoError } from "./sotto-error.ts";
import { MemoryTokenStore, type TokenStore } from "./token-store.ts";
import { describeVerification, type Verification } from "./verification.ts";
import { Wallet } from "./wallet.ts";

/** Where requests of a private `fetch` go; `.invalid` can never resolve, so a stray request stays home. */
export const privateBaseUrl = "https://sotto.invalid/v1";

export type PrivateFetchOptions = {
  readonly relayUrl: string;
  readonly issuerUrl: string;
  readonly account: { readonly secret: string };
  /** Verifier key (C2SP signed-note) that signs the directory. */
  readonly directoryKey: string;
  readonly policy: TrustPolicy;
  readonly tokens?: TokenStore;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly fetch?: typeof fetch;
  /** Prepare the next session as soon as one is used, default true. */
  readonly prepareAhead?: boolean;
  readonly postQuantumRequests?: boolean;
  /** Time for a session to come up, and for the directory or a batch of tokens before that; default 30 000 ms each. */
  readonly timeoutMs?: number;
};

/** A `fetch` with what belongs to it. */
export type PrivateFetch = typeof fetch & {
  readonly baseUrl: string;
  /** Makes a verified session ready for the next question. */
  readonly prepare: () => Promise<void>;
  /** Opens a session, verifies it and tells everything that was checked; throws only when nothing could be checked. */
  readonly verify: () => Promise<Verification>;
  readonly directory: () => Promise<VerifiedDirectory>;
  readonly tokensRemaining: () => Promise<number>;
  readonly close: () => void;
};

/** The verdict under which a response was given; undefined for responses made on the device. */
export function verdictOf(response: Response): Verdict | undefined {
  return verdicts.get(response);
}

const verdicts = new WeakMap<Response, Verdict>();
const maxPreparedAgeMs = 90_000;

/** Wires a private `fetch`; nothing is sent before it is used. */
export function createPrivateFetch(options: PrivateFetchOptions): PrivateFetch {
  const clock = options.clock ?? Date.now;
  const random = options.random ?? systemRandom;
  // Browsers refuse to run their own as the method of anything else.
  const send: typeof fetch = options.fetch ?? ((input, init) => fetch(input, init));
  const timeoutMs = options.timeoutMs ?? 30_000;
  const directory = new DirectorySource({
    relayUrl: directoryUrl(options.relayUrl),
    directoryKey: options.directoryKey,
    log: options.policy.log,
    maxProofAgeMs: options.policy.maxProofAgeMs,
    clock,
    fetch: send,
    timeoutMs,
    ...(options.postQuantumRequests === undefined
      ? {}
      : { postQuantumRequests: options.postQuantumRequests }),
  });
  const wallet = new Wallet({
    issuerUrl: directoryUrl(options.issuerUrl),
    account: options.account,
    store: options.tokens ?? new MemoryTokenStore(),
    random,
    fetch: send,
    timeoutMs,
  });
  const open = (): Promise<PrivateSession> =>
    openPrivateSession({
      relayUrl: directoryUrl(options.relayUrl),
      directory,
      wallet,
      policy: options.policy,
      clock,
      random,
      fetch: send,
      timeoutMs,
    });

  let prepared: Promise<PrivateSession> | undefined;
  const closing = new AbortController();
  let stopped: SottoError | undefined;

  const noteFailure = (cause: unknown): Error => {
    const error = asSottoError(cause);
    if (error instanceof SottoError && error.advice === "stop") stopped = error;
    return error;
  };

  const prepare = (): Promise<PrivateSession> => {
    prepared ??= open();
    const pending = prepared;
    pending.catch((error: unknown) => {
      if (prepared === pending) prepared = undefined;
      noteFailure(error);
    });
    return pending;
  };

  const takeSession = async (): Promise<PrivateSession> => {
    // After a failed verification nothing is tried again until somebody asks for `verify`.
    if (stopped !== undefined) throw stopped;
    const pending = prepared;
    if (pending !== undefined) {
      prepared = undefined;
      const ready = await pending;
      if (clock() - ready.readyAt < maxPreparedAgeMs && ready.session.isOpen()) return ready;
      ready.session.close();
    }
    const fresh = prepare();
    prepared = undefined;
    return fresh;
  };

  // A session that nobody waits for any more is as good for the next question.
  const keep = async (taking: Promise<PrivateSession>): Promise<void> => {
    const ready = await taking;
    if (closing.signal.aborted || prepared !== undefined) ready.session.close();
    else prepared = taking;
  };

  const ask = async (content: Bytes, signal: AbortSignal): Promise<Response> => {
    closing.signal.throwIfAborted();
    const taking = takeSession();
    const ready = await unlessAborted(taking, [signal, closing.signal]).catch((error: unknown) => {
      keep(taking).catch(() => {});
      throw error;
    });
    const response = await sendQuestion(ready, { content, signal, noteFailure });
    verdicts.set(response, ready.node.verdict);
    // After the answer's head has been handed over, which is what somebody waits for.
    if (options.prepareAhead !== false)
      setTimeout(() => void (closing.signal.aborted || prepare().catch(() => {})));
    return response;
  };

  const privateFetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    const url = new URL(request.url);
    if (url.origin !== new URL(privateBaseUrl).origin) {
      throw new SottoError("not-private", `private fetch serves ${privateBaseUrl} only`);
    }
    const route = `${request.method} ${url.pathname}`;
    if (route === "GET /v1/models") return listModels(await directory.get());
    if (route !== "POST /v1/chat/completions") return refuse(404, "unknown-endpoint");
    const content = new Uint8Array(await request.arrayBuffer());
    try {
      parseChatRequest(content);
    } catch (error) {
      // Text only, and well-formed: told here, before anything has left the device.
      if (error instanceof ChatError) return refuse(400, error.code, error.message);
      throw error;
    }
    request.signal.throwIfAborted();
    return ask(content, request.signal);
  };

  return Object.assign(privateFetch, {
    baseUrl: privateBaseUrl,
    prepare: async () => {
      closing.signal.throwIfAborted();
      if (stopped !== undefined) throw stopped;
      await prepare();
    },
    verify: async () => {
      closing.signal.throwIfAborted();
      stopped = undefined;
      directory.invalidate();
      forgetEndorsements(); // who asks for it wants everything looked at
      return describeVerification(open, clock, options.policy);
    },
    directory: () => directory.get(),
    tokensRemaining: () => wallet.remaining(),
    close: () => {
      closing.abort(new SottoError("closed", "private fetch is closed"));
      prepared?.then(({ session }) => session.close()).catch(() => {});
      prepared = undefined;
    },
  });
}

/** The same promise, but no longer than until one of the signals; then it rejects with that one's reason. */
function unlessAborted<T>(promise: Promise<T>, signals: readonly AbortSignal[]): Promise<T> {
  const settled = new AbortController();
  return new Promise<T>((resolve, reject) => {
    for (const signal of signals) {
      const abort = (): void => reject(signal.reason);
      signal.addEventListener("abort", abort, { once: true, signal: settled.signal });
      if (signal.aborted) abort();
    }
    promise.then(resolve, reject);
  }).finally(() => settled.abort());
}

type Question = {
  readonly content: Bytes;
  readonly signal: AbortSignal;
  /** Makes what the caller is told of a failure. */
  readonly noteFailure: (cause: unknown) => Error;
};

async function sendQuestion(ready: PrivateSession, question: Question): Promise<Response> {
  const { content, signal } = question;
  const abort = (): void => ready.session.close();
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  const failure = (cause: unknown): unknown => (signal.aborted ? signal.reason : question.noteFailure(cause));
  try {
    signal.throwIfAborted();
    const answer = await sendRequest(ready.session, {
      method: "POST",
      authority: "orchestrator.sotto.invalid",
      path: "/v1/chat/completions",
      contentType: "application/json",
      content,
    });
    return asResponse(answer, ready.session, failure);
  } catch (cause) {
    throw failure(cause);
  }
}

// A body that is given up closes the session at once, also while a piece of it is awaited.
function asResponse(
  { status, contentType, body }: ExchangeAnswer,
  session: ClientSession,
  failure: (cause: unknown) => unknown,
): Response {
  const pieces = body[Symbol.asyncIterator]();
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await pieces.next().catch((cause: unknown) => {
          throw failure(cause);
        });
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      },
      cancel: () => session.close(),
    },
    { highWaterMark: 0 },
  );
  return new Response(stream, { status, headers: { "content-type": contentType } });
}

function listModels(directory: VerifiedDirectory): Response {
  const data = directory.models.map(({ id }) => ({ id, object: "model", created: 0, owned_by: "sotto" }));
  return Response.json({ object: "list", data });
}

function refuse(status: number, code: string, message?: string): Response {
  // Clients of the OpenAI API would otherwise repeat the request by themselves.
  return Response.json(openAiError(code, status, message), {
    status,
    headers: { "x-should-retry": "false" },
  });
}

function directoryUrl(url: string): string {
  return url.endsWith("/") ? url : `${url}/`;
}
