// What binary HTTP carries, in the shape that both its forms share (RFC 9292).
import type { Bytes } from "@sotto/base";

/** Field lines in order; names are lowercase. */
export type HeaderList = readonly (readonly [name: string, value: string])[];

export type BinaryRequest = {
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  readonly path: string;
  readonly headers: HeaderList;
  readonly content: Bytes;
  readonly trailers: HeaderList;
};

export type InformationalResponse = { readonly status: number; readonly headers: HeaderList };

export type BinaryResponse = {
  readonly informational?: readonly InformationalResponse[];
  readonly status: number;
  readonly headers: HeaderList;
  readonly content: Bytes;
  readonly trailers: HeaderList;
};

/** What a parser accepts at most in one message; sizes in bytes. */
export type MessageLimits = {
  readonly maxFields: number;
  readonly maxSectionBytes: number;
  readonly maxContentBytes: number;
  readonly maxInformational: number;
};

export const defaultMessageLimits: MessageLimits = {
  maxFields: 64,
  maxSectionBytes: 16 * 1024,
  maxContentBytes: 4 * 1024 * 1024,
  maxInformational: 8,
};

/** A streamed response is not held in memory, so its content may be far larger: 1 GiB. */
export const defaultStreamLimits: MessageLimits = {
  ...defaultMessageLimits,
  maxContentBytes: 2 ** 30, // what one AES-128-GCM key should protect (draft-ietf-ohai-chunked-ohttp-08 Section 7.3)
};

/** Framing indicators (RFC 9292 Section 3.3). */
export const framing = {
  knownRequest: 0,
  knownResponse: 1,
  indeterminateRequest: 2,
  indeterminateResponse: 3,
} as const;
