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

/** What a parser accepts at most; sizes in bytes. */
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

/** Framing indicators (RFC 9292 Section 3.3). */
export const framing = {
  knownRequest: 0,
  knownResponse: 1,
  indeterminateRequest: 2,
  indeterminateResponse: 3,
} as const;
