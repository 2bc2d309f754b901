// The launcher's process: `node main.ts OPTIONS.json`; lives exactly as long as its service.
import { readFileSync } from "node:fs";
import { parseSimulatedChip } from "@sotto/attestation/software";
import { launchMachine, type MachineOptions } from "./machine.ts";

type LaunchFile = Omit<MachineOptions, "chip"> & { readonly chip: string };

const [file = ""] = process.argv.slice(2);
const launch: LaunchFile = JSON.parse(readFileSync(file, "utf8"));
const chip = parseSimulatedChip(readFileSync(launch.chip, "utf8"));
const { service } = await launchMachine({ ...launch, chip });

service.stdout?.pipe(process.stdout);
service.stderr?.pipe(process.stderr);
const end = (): void => {
  service.kill("SIGTERM");
};
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, end);
process.stdin.on("end", end).on("error", end).resume();
process.on("exit", () => service.kill("SIGKILL"));
service.once("exit", (code) => process.exit(code ?? 1));
