export type { SessionStream } from "#connect";
export type { ByteStream } from "./channel.ts";
export { type ClientSession, type ClientSessionOptions, openClientSession } from "./client-session.ts";
export type { SessionAttester } from "./evidence.ts";
export { RatlsError, type RatlsErrorCode } from "./ratls-error.ts";
export type { ReattestInterval } from "./reattestation.ts";
