export type { AnswerWatch, Watched } from "./answer-watch.ts";
export * from "./guard.ts";
export * from "./guard-error.ts";
export * from "./locations.ts";
export * from "./verdict.ts";
