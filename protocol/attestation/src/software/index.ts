export {
  createSimulatedChip,
  parseSimulatedChip,
  type SimulatedChip,
  serializeSimulatedChip,
  simulatedTcb,
} from "./development-pki.ts";
export { measureImage } from "./launch-measurement.ts";
export { developmentPolicy, parseSimulatedRoot } from "./policy.ts";
export { createReportSigner, type ReportOverrides, type ReportSigner } from "./simulated-report.ts";
