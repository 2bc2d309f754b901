export * from "./machine.ts";
export * from "./measurement.ts";
