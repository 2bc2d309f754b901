export * from "./config.ts";
export * from "./log.ts";
export * from "./problem.ts";
export * from "./server.ts";
export * from "./service.ts";
export * from "./tsm.ts";
export * from "./upstream.ts";
