// Exchanges with the gateway, sealed for it and carried by the relay (RFC 9458, chunked draft 08).
import { type Bytes, CodedError } from "@sotto/base";
import {
  type BinaryRequest,
  type BinaryResponse,
  encapsulateChunkedRequest,
  encapsulateRequest,
  type HeaderList,
  type KeyConfig,
  mediaTypes,
  parseResponse,
  ResponseParser,
  serializeRequest,
  WireError,
} from "@sotto/wire";
import { readAnswer } from "./answer.ts";
import { requestDefaults } from "./request-defaults.ts";
import { SottoError } from "./sotto-error.ts";

export type RelayTransportOptions = {
  readonly relayUrl: string;
  readonly fetch: typeof fetch;
};

/** A streamed answer: its head, then its content as it comes. */
export type StreamedResponse = {
  readonly status: number;
  readonly headers: HeaderList;
  readonly content: AsyncIterable<Bytes>;
};

const maxAnswerBytes = 4 * 1024 * 1024;

type SealedStream = Awaited<ReturnType<typeof encapsulateChunkedRequest>>;

/** A question's envelope, made before the question exists. */
export type PreparedExchange = { readonly sealed: SealedStream };

/** Carries inner requests through the relay; one instance serves one key configuration. */
export class RelayTransport {
  readonly #options: RelayTransportOptions;
  readonly #keyConfig: KeyConfig;

  constructor(options: RelayTransportOptions, keyConfig: KeyConfig) {
    this.#options = options;
    this.#keyConfig = keyConfig;
  }

  /** One request and its whole answer; throws `SottoError`. */
  async exchange(request: BinaryRequest, padTo: number, signal?: AbortSignal): Promise<BinaryResponse> {
    const content = serializeRequest(request, { padTo });
    const sealed = await supported(() => encapsulateRequest(this.#keyConfig, content));
    const response = await this.#post(mediaTypes.request, sealed.request, signal);
    if (response.headers.get("content-type") !== mediaTypes.response) throw refusal(response.status);
    const answer = await readAnswer(response, maxAnswerBytes);
    if (answer === undefined) throw new SottoError("protocol-violation", "gateway: answer is too large");
    return checked(async () => parseResponse(await sealed.openResponse(answer)));
  }

  /** Makes the envelope of a streamed exchange ahead of time. */
  async prepare(): Promise<PreparedExchange> {
    return { sealed: await supported(() => encapsulateChunkedRequest(this.#keyConfig)) };
  }

  /** One request, its answer streamed; throws `SottoError`, also from the iteration. */
  async stream(
    request: BinaryRequest,
    prepared: PreparedExchange,
    signal?: AbortSignal,
  ): Promise<StreamedResponse> {
    const { sealed } = prepared;
    const last = await sealed.sealFinal(serializeRequest(request));
    const body = new Uint8Array(sealed.header.length + last.length);
    body.set(sealed.header);
    body.set(last, sealed.header.length);
    const response = await this.#post(mediaTypes.chunkedRequest, body, signal);
    if (response.headers.get("content-type") !== mediaTypes.chunkedResponse || response.body === null) {
      throw refusal(response.status);
    }
    return openStream(sealed, response.body);
  }

  async #post(contentType: string, body: Bytes, signal?: AbortSignal): Promise<Response> {
    try {
      return await this.#options.fetch(new URL("relay", this.#options.relayUrl), {
        ...requestDefaults,
        method: "POST",
        headers: { "content-type": contentType },
        body,
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (cause) {
      if (signal?.aborted === true) throw new SottoError("aborted", "request was aborted", { cause });
      throw new SottoError("relay-unreachable", "relay cannot be reached", { cause });
    }
  }
}

async function openStream(sealed: SealedStream, body: ReadableStream<Uint8Array>): Promise<StreamedResponse> {
  const events = responseEvents(sealed, body);
  for (;;) {
    const next = await events.next();
    if (next.done === true) throw new SottoError("session-lost", "gateway gave no answer");
    if (next.value.type === "head") {
      const { status, headers } = next.value;
      return { status, headers, content: contentOf(events) };
    }
  }
}

async function* contentOf(events: ReturnType<typeof responseEvents>): AsyncIterable<Bytes> {
  for await (const event of events) if (event.type === "content") yield event.bytes;
}

async function* responseEvents(sealed: SealedStream, body: ReadableStream<Uint8Array>) {
  const opener = sealed.createResponseOpener();
  const parser = new ResponseParser();
  const reader = body.getReader();
  try {
    for (;;) {
      const next = await reader.read().catch((cause: unknown) => {
        throw new SottoError("session-lost", "answer broke off", { cause });
      });
      if (next.done) break;
      const chunks = await checked(() => opener.push(new Uint8Array(next.value)));
      for (const chunk of chunks) yield* checkedSync(() => parser.push(chunk));
    }
    const last = await checked(() => opener.finish());
    yield* checkedSync(() => parser.push(last));
    yield* checkedSync(() => parser.finish());
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Says so when the platform lacks what the wanted kind of request is sealed with, as browsers lack ML-KEM. */
async function supported<T>(seal: () => Promise<T>): Promise<T> {
  try {
    return await seal();
  } catch (cause) {
    if (!(cause instanceof WireError) || cause.code !== "unsupported") throw cause;
    throw new SottoError("unsupported-platform", "platform lacks what requests are sealed with", { cause });
  }
}

async function checked<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw asSottoError(cause);
  }
}

function checkedSync<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw asSottoError(cause);
  }
}

function asSottoError(cause: unknown): unknown {
  if (!(cause instanceof CodedError) || cause instanceof SottoError) return cause;
  if (cause.code === "truncated") return new SottoError("session-lost", "answer broke off", { cause });
  return new SottoError("protocol-violation", `gateway: ${cause.message}`, { cause });
}

function refusal(status: number): SottoError {
  if (status === 401) return new SottoError("stale-key", "gateway no longer has this request key");
  if (status === 503 || status === 429) return new SottoError("busy", "service is busy");
  return new SottoError("relay-refused", "relay or gateway refused the exchange");
}
