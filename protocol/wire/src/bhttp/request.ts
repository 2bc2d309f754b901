// Binary HTTP requests, known- and indeterminate-length (RFC 9292 Sections 3.1 to 3.4).
import { ByteReader, type Bytes, ByteWriter, concatBytes, isAllZero } from "@sotto/base";
import { strictly, WireError } from "../wire-error.ts";
import { checkRequest } from "./control-data.ts";
import {
  decodeLatin1,
  encodeLatin1,
  readIndeterminateSection,
  readKnownSection,
  serializeFieldLines,
} from "./field-section.ts";
import { type BinaryRequest, defaultMessageLimits, framing, type MessageLimits } from "./message.ts";

const maxControlBytes = 8 * 1024;

/** Writes a known-length request, padded with zeros up to `padTo` bytes (RFC 9292 Section 3.8). */
export function serializeRequest(request: BinaryRequest, options: { readonly padTo?: number } = {}): Bytes {
  const headers = serializeFieldLines(request.headers);
  const trailers = serializeFieldLines(request.trailers);
  const bytes = writeControl(framing.knownRequest, request)
    .varint(headers.length)
    .bytes(headers)
    .varint(request.content.length)
    .bytes(request.content)
    .varint(trailers.length)
    .bytes(trailers)
    .finish();
  const padding = (options.padTo ?? 0) - bytes.length;
  return padding > 0 ? concatBytes(bytes, new Uint8Array(padding)) : bytes;
}

/** Writes an indeterminate-length request, its content in one chunk. */
export function serializeIndeterminateRequest(request: BinaryRequest): Bytes {
  const writer = writeControl(framing.indeterminateRequest, request)
    .bytes(serializeFieldLines(request.headers))
    .varint(0);
  if (request.content.length > 0) writer.varint(request.content.length).bytes(request.content);
  return writer.varint(0).bytes(serializeFieldLines(request.trailers)).varint(0).finish();
}

/** Reads a request of either form; throws `WireError` (RFC 9292 Section 3). */
export function parseRequest(bytes: Uint8Array, limits: MessageLimits = defaultMessageLimits): BinaryRequest {
  return strictly("bhttp", () => {
    const reader = new ByteReader(bytes);
    const kind = reader.varint();
    if (kind !== framing.knownRequest && kind !== framing.indeterminateRequest) {
      throw new WireError("malformed", "bhttp: not a request");
    }
    const [method, scheme, authority, path] = [
      readText(reader),
      readText(reader),
      readText(reader),
      readText(reader),
    ];
    const rest =
      kind === framing.knownRequest ? readKnown(reader, limits) : readIndeterminate(reader, limits);
    if (!isAllZero(reader.rest())) throw new WireError("trailing-bytes", "bhttp: padding is not zero");
    const request = { method, scheme, authority, path, ...rest };
    checkRequest(request);
    return request;
  });
}

function writeControl(kind: number, request: BinaryRequest): ByteWriter {
  checkRequest(request);
  const writer = new ByteWriter().varint(kind);
  for (const part of [request.method, request.scheme, request.authority, request.path]) {
    writer.varint(part.length).bytes(encodeLatin1(part));
  }
  return writer;
}

function readText(reader: ByteReader): string {
  const length = reader.varint();
  if (length > maxControlBytes) throw new WireError("too-large", "bhttp: control data over its limit");
  return decodeLatin1(reader.bytes(length));
}

type Rest = Pick<BinaryRequest, "headers" | "content" | "trailers">;

/** The sections after the control data of a known-length message. */
export function readKnown(reader: ByteReader, limits: MessageLimits): Rest {
  const headers = readKnownSection(reader, limits);
  if (reader.remaining === 0) return { headers, content: new Uint8Array(), trailers: [] };
  const length = reader.varint();
  if (length > limits.maxContentBytes) throw new WireError("too-large", "bhttp: content over its limit");
  const content = reader.bytes(length);
  return { headers, content, trailers: readKnownSection(reader, limits) };
}

/** The sections after the control data of an indeterminate-length message. */
export function readIndeterminate(reader: ByteReader, limits: MessageLimits): Rest {
  const headers = readIndeterminateSection(reader, limits);
  if (reader.remaining === 0) return { headers, content: new Uint8Array(), trailers: [] };
  const chunks: Bytes[] = [];
  let size = 0;
  for (let length = reader.varint(); length !== 0; length = reader.varint()) {
    size += length;
    if (size > limits.maxContentBytes) throw new WireError("too-large", "bhttp: content over its limit");
    chunks.push(reader.bytes(length));
  }
  return { headers, content: concatBytes(...chunks), trailers: readIndeterminateSection(reader, limits) };
}
