export {
  type ChunkedRequestOpener,
  type ChunkedResponseSealer,
  type DecapsulatedRequest,
  decapsulateChunkedRequest,
  decapsulateRequest,
} from "./ohttp/gateway.node.ts";
export {
  createGatewayKeys,
  type GatewayKeyPair,
  type GatewayKeys,
  generateKeyPair,
} from "./ohttp/gateway-keys.node.ts";
