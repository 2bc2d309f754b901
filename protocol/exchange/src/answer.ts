// One HTTP request inside an attested session and its answer, as plain values: who answers is often a process that was
// started for it, and the platform's Request and Response would cost that 27 ms of processor time at their first use.
import { type Bytes, encodeUtf8 } from "@sotto/base";

/** What a handler is given. */
export type ExchangeRequest = { readonly method: string; readonly path: string; readonly content: Bytes };

/** What it gives back; `body` is read once, and let go early when nobody reads on. */
export type ExchangeAnswer = {
  readonly status: number;
  readonly contentType: string;
  readonly body: AsyncIterable<Bytes>;
};

/** An answer whose body is there whole. */
export function wholeAnswer(status: number, contentType: string, body: Bytes): ExchangeAnswer {
  return {
    status,
    contentType,
    body: (async function* () {
      if (body.length > 0) yield body;
    })(),
  };
}

/** An answer with JSON in it. */
export function jsonAnswer(status: number, value: object): ExchangeAnswer {
  return wholeAnswer(status, "application/json", encodeUtf8(JSON.stringify(value)));
}
