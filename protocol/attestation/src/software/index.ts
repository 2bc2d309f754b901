export {
  type ChipOptions,
  createSimulatedAuthority,
  createSimulatedChip,
  issueSimulatedChip,
  parseSimulatedChip,
  type SimulatedAuthority,
  type SimulatedChip,
  serializeSimulatedChip,
  simulatedTcb,
} from "./development-pki.ts";
export { extendLaunchDigest, measureImage, pageSize } from "./launch-measurement.ts";
export { developmentPolicy, parseSimulatedRoot } from "./policy.ts";
export {
  type CertificateExtension,
  type CertificateFields,
  type CertificateSigning,
  signCertificate,
} from "./simulated-certificate.ts";
export {
  createReportSigner,
  type ReportOverrides,
  type ReportSigner,
  serializeTcb,
} from "./simulated-report.ts";
