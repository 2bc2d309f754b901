export * from "./bhttp/message.ts";
export { parseRequest, serializeIndeterminateRequest, serializeRequest } from "./bhttp/request.ts";
export { parseResponse, serializeResponse } from "./bhttp/response.ts";
export * from "./bhttp/response-stream.ts";
export { maxChunkBytes } from "./ohttp/chunk-framing.ts";
export type { ChunkedOpener } from "./ohttp/chunked-opener.ts";
export {
  type ChunkedRequest,
  type EncapsulatedRequest,
  encapsulateChunkedRequest,
  encapsulateRequest,
} from "./ohttp/client.ts";
export {
  type KeyConfig,
  kemId,
  parseKeyConfig,
  parseKeyConfigList,
  type SymmetricSuite,
  serializeKeyConfig,
  serializeKeyConfigList,
} from "./ohttp/key-config.ts";
export { mediaTypes } from "./ohttp/labels.ts";
export { WireError, type WireErrorCode } from "./wire-error.ts";
