export * from "./machine.ts";
export * from "./measurement.ts";
export * from "./report-budget.ts";
export * from "./report-device.ts";
export * from "./tee-error.ts";
