export type { ImageFile } from "./image-file.ts";
export { type LaunchFile, serializeLaunchFile } from "./launch-file.ts";
export { launchMachine, type Machine, type MachineOptions } from "./machine.ts";
export { type ImageOptions, measureService, type ServiceImage } from "./measurement.ts";
export { createReportBudget, type ReportBudget } from "./report-budget.ts";
export { openReportDevice, type ReportDevice, type ReportDeviceOptions } from "./report-device.ts";
export { TeeError, type TeeErrorCode } from "./tee-error.ts";
