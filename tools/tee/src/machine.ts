// One simulated confidential machine: measures a service's files as it launches it, and signs reports about it and
// about nothing else. Whoever owns this process can read and forge everything: it protects nobody.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createReportSigner, type SimulatedChip } from "@sotto/attestation/software";
import { measureService, type ServiceImage, type ServiceMeasurement } from "./measurement.ts";
import { openReportDevice } from "./report-device.ts";
import { TeeError } from "./tee-error.ts";

/** What the host may say to a service besides where its files are: where to listen, whom to call, when to stop. */
const hintNames = new Set(["SOTTO_PORT", "SOTTO_PREDICTORS", "SOTTO_GUARDS", "SOTTO_SWITCH"]);

export type MachineOptions = {
  readonly image: ServiceImage;
  readonly chip: SimulatedChip;
  /** Path of the release file, provided by the host; it authenticates itself. */
  readonly release: string;
  /** Routing hints, the only other variables that the service gets. */
  readonly hints: Readonly<Record<string, string>>;
  /** Where the service's output goes; to pipes unless given. */
  readonly output?: "pipe" | "inherit";
};

export type Machine = { readonly measured: ServiceMeasurement; readonly service: ChildProcess };

/**
 * Launches a service and gives it a report device of its own, until it exits.
 *
 * Its standard input is a pipe that closes when this process is gone. Throws `TeeError`.
 */
export async function launchMachine(options: MachineOptions): Promise<Machine> {
  const { image, chip, release, hints } = options;
  if (!Object.keys(hints).every((name) => hintNames.has(name))) {
    throw new TeeError("malformed", "machine: a hint is not one that a service may get");
  }
  const measured = await measureService(image);
  const signer = await createReportSigner(chip, measured.measurement);
  const folder = mkdtempSync(join(tmpdir(), "sotto-tee-")); // mode 0700
  const tsmRoot = join(folder, "tsm");
  const device = openReportDevice({ folder: tsmRoot, certificates: chip.certificates, signer });
  const end = (): void => {
    device.close();
    rmSync(folder, { recursive: true, force: true });
  };
  const output = options.output ?? "pipe";
  const entry = join(image.root, "services", image.role, image.entry ?? "src/main.ts");
  const service = spawn(process.execPath, [...(image.nodeFlags ?? []), entry], {
    cwd: image.root,
    // Nothing is inherited: what is not listed here does not reach the service.
    env: {
      SOTTO_TSM: tsmRoot,
      SOTTO_CONFIG: resolve(image.config),
      SOTTO_RELEASE: resolve(release),
      ...(image.sealed === undefined ? {} : { SOTTO_SEALED: resolve(image.sealed) }),
      ...hints,
    },
    stdio: ["pipe", output, output],
  });
  service.once("exit", end);
  await new Promise<void>((started, failed) => {
    service.once("spawn", started).once("error", (cause) => {
      end();
      failed(new TeeError("launch-failed", "machine: the service cannot be started", { cause }));
    });
  });
  service.stdin?.on("error", () => undefined); // the service may close its end first
  return { measured, service };
}
