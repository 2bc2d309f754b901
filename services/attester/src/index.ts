export * from "./attester.ts";
export * from "./release-file.ts";
