export * from "./answer.ts";
export * from "./request-sender.ts";
export * from "./request-server.ts";
