export { TlsClient, type TlsClientOptions, type TlsProgress } from "./client.ts";
export type { TlsPeer } from "./handshake.ts";
export type { GroupName } from "./parameters.ts";
export { TlsError, type TlsErrorCode } from "./tls-error.ts";
