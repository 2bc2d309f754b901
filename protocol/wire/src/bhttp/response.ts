// Whole binary HTTP responses, known- and indeterminate-length (RFC 9292 Sections 3.1 to 3.5).
import { ByteReader, type Bytes, ByteWriter, isAllZero } from "@sotto/base";
import { strictly, WireError } from "../wire-error.ts";
import { readIndeterminateSection, readKnownSection, serializeFieldLines } from "./field-section.ts";
import {
  type BinaryResponse,
  defaultMessageLimits,
  framing,
  type InformationalResponse,
  type MessageLimits,
} from "./message.ts";
import { readIndeterminate, readKnown } from "./request.ts";

/** Writes a known-length response. */
export function serializeResponse(response: BinaryResponse): Bytes {
  const writer = new ByteWriter().varint(framing.knownResponse);
  for (const { status, headers } of response.informational ?? []) {
    const lines = serializeFieldLines(headers);
    writer.varint(checkInformational(status)).varint(lines.length).bytes(lines);
  }
  const headers = serializeFieldLines(response.headers);
  const trailers = serializeFieldLines(response.trailers);
  return writer
    .varint(checkFinal(response.status))
    .varint(headers.length)
    .bytes(headers)
    .varint(response.content.length)
    .bytes(response.content)
    .varint(trailers.length)
    .bytes(trailers)
    .finish();
}

/** Reads a whole response of either form; throws `WireError` (RFC 9292 Section 3). */
export function parseResponse(
  bytes: Uint8Array,
  limits: MessageLimits = defaultMessageLimits,
): BinaryResponse {
  return strictly("bhttp", () => {
    const reader = new ByteReader(bytes);
    const kind = reader.varint();
    if (kind !== framing.knownResponse && kind !== framing.indeterminateResponse) {
      throw new WireError("malformed", "bhttp: not a response");
    }
    const known = kind === framing.knownResponse;
    const informational: InformationalResponse[] = [];
    let status = reader.varint();
    while (status >= 100 && status < 200) {
      if (informational.length >= limits.maxInformational) {
        throw new WireError("too-large", "bhttp: too many informational responses");
      }
      const section = known ? readKnownSection(reader, limits) : readIndeterminateSection(reader, limits);
      informational.push({ status, headers: section });
      status = reader.varint();
    }
    checkFinal(status);
    const rest = known ? readKnown(reader, limits) : readIndeterminate(reader, limits);
    if (!isAllZero(reader.rest())) throw new WireError("trailing-bytes", "bhttp: padding is not zero");
    return { informational, status, ...rest };
  });
}

/** A status of a final response. */
export function checkFinal(status: number): number {
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new WireError("malformed", "bhttp: status out of range");
  }
  return status;
}

function checkInformational(status: number): number {
  if (!Number.isInteger(status) || status < 100 || status > 199) {
    throw new WireError("malformed", "bhttp: informational status out of range");
  }
  return status;
}
