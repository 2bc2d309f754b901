export type { Check, TrustPolicy, Verdict } from "@sotto/attestation";
export { openAiError, SseParser } from "@sotto/chat";
export * from "./client-settings.ts";
export type { VerifiedDirectory } from "./directory-source.ts";
export * from "./private-fetch.ts";
export * from "./sotto-error.ts";
export * from "./token-store.ts";
export type { Verification } from "./verification.ts";
