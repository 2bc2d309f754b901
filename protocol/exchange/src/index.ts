export * from "./request-sender.ts";
export * from "./request-server.ts";
