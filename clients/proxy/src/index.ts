export * from "./proxy.ts";
export * from "./proxy-server.ts";
