// One simulated confidential machine: measures a service's files as it launches it, and signs reports about it and
// about nothing else.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createReportSigner, type SimulatedChip } from "@sotto/attestation/software";
import { measureService, type ServiceImage, type ServiceMeasurement } from "./measurement.ts";
import { openReportDevice } from "./report-device.ts";

export type MachineOptions = {
  readonly image: ServiceImage;
  readonly chip: SimulatedChip;
  /** Path of the release file, provided by the host. */
  readonly release: string;
  /** Routing hints, the only other variables that the service gets. */
  readonly hints: Readonly<Record<string, string>>;
};

export type Machine = { readonly measured: ServiceMeasurement; readonly service: ChildProcess };

/** Launches a service; standard input, output and error of the service are piped. */
export async function launchMachine(options: MachineOptions): Promise<Machine> {
  const { image, chip, release, hints } = options;
  const measured = await measureService(image);
  const folder = mkdtempSync(join(tmpdir(), "sotto-tee-"));
  const tsmRoot = join(folder, "tsm");
  const signer = await createReportSigner(chip, measured.measurement);
  const device = openReportDevice({ folder: tsmRoot, chip, signer, clock: Date.now });
  const entry = join(image.root, "services", image.role, image.entry ?? "src/main.ts");
  const service = spawn(process.execPath, [...(image.nodeFlags ?? []), entry], {
    cwd: image.root,
    // Nothing is inherited: what is not listed here does not reach the service.
    env: { SOTTO_TSM: tsmRoot, SOTTO_CONFIG: image.config, SOTTO_RELEASE: release, ...hints },
    stdio: ["pipe", "pipe", "pipe"],
  });
  service.once("exit", () => {
    device.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { measured, service };
}
