export { type ClientSession, type ClientSessionOptions, openClientSession } from "./client-session.ts";
export { RatlsError, type RatlsErrorCode } from "./ratls-error.ts";
export {
  acceptServerSession,
  type ServerAnswer,
  type ServerSession,
  type ServerSessionOptions,
  type SessionAttester,
} from "./server-session.ts";
