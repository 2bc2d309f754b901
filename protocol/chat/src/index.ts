export * from "./chat-request.ts";
export * from "./completion.ts";
export * from "./completion-chunk.ts";
export * from "./sse-parser.ts";
