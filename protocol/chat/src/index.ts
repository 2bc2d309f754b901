export * from "./chat-request.ts";
export * from "./completion.ts";
export * from "./sse-parser.ts";
