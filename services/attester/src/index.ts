export * from "./attester.ts";
export * from "./attester-error.ts";
export * from "./release-file.ts";
