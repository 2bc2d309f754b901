// Labels and sizes of plain and chunked Oblivious HTTP, in one place for both roles.
import { type Bytes, concatBytes, encodeUtf8 } from "@sotto/base";

/** Labels of one variant (RFC 9458 Section 4; draft-ietf-ohai-chunked-ohttp-08 Section 6). */
export type Labels = { readonly request: Bytes; readonly response: Bytes };

export const plainLabels: Labels = {
  request: encodeUtf8("message/bhttp request"),
  response: encodeUtf8("message/bhttp response"),
};
export const chunkedLabels: Labels = {
  request: encodeUtf8("message/bhttp chunked request"),
  response: encodeUtf8("message/bhttp chunked response"),
};

export const finalAad: Bytes = encodeUtf8("final");
export const emptyAad: Bytes = new Uint8Array();
export const keyLabel: Bytes = encodeUtf8("key");
export const nonceLabel: Bytes = encodeUtf8("nonce");

export const nk = 16; // AES-128-GCM key
export const nn = 12; // AES-GCM nonce
export const nt = 16; // AES-GCM tag
export const responseNonceLength = 16; // max(Nn, Nk)

/** `info = concat(encode_str(label), encode(1, 0), hdr)` (RFC 9458 Section 4.3). */
export function requestInfo(labels: Labels, header: Bytes): Bytes {
  return concatBytes(labels.request, new Uint8Array(1), header);
}

/** `chunk_nonce = aead_nonce XOR encode(Nn, counter)` (draft-ietf-ohai-chunked-ohttp-08 Section 6.2). */
export function chunkNonce(base: Uint8Array, counter: number): Bytes {
  const nonce = new Uint8Array(base);
  const view = new DataView(nonce.buffer);
  view.setUint32(nn - 4, view.getUint32(nn - 4) ^ (counter >>> 0));
  view.setUint32(nn - 8, view.getUint32(nn - 8) ^ Math.floor(counter / 2 ** 32));
  return nonce;
}

/** Media types (RFC 9458 Section 9; draft-ietf-ohai-chunked-ohttp-08 Section 8; RFC 9292 Section 7). */
export const mediaTypes = {
  keys: "application/ohttp-keys",
  request: "message/ohttp-req",
  response: "message/ohttp-res",
  chunkedRequest: "message/ohttp-chunked-req",
  chunkedResponse: "message/ohttp-chunked-res",
  bhttp: "message/bhttp",
} as const;
