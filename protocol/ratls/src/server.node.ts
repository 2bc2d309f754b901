// The attesting end of sessions, for processes on Node.
export type { SessionAttester } from "./evidence.ts";
export type { ServerAnswer } from "./server-answer.node.ts";
export { acceptServerSession, type ServerSession, type ServerSessionOptions } from "./server-session.node.ts";
