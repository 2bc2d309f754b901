// What the launcher is told, as a JSON file: see `MachineOptions`; the chip is the path of its own file.
import { readFileSync } from "node:fs";
import { parseSimulatedChip } from "@sotto/attestation/software";
import type { MachineOptions } from "./machine.ts";
import { TeeError } from "./tee-error.ts";

/** The file's content. */
export type LaunchFile = Omit<MachineOptions, "chip" | "output"> & { readonly chip: string };

const imageFields = ["root", "role", "entry", "nodeFlags", "config", "sealed", "weights"];

/** Reads a launch file and the chip that it names; throws `TeeError`. */
export function readLaunchFile(path: string): MachineOptions {
  try {
    const launch = fields(JSON.parse(readFileSync(path, "utf8")), ["image", "chip", "release", "hints"]);
    const image = fields(launch.image, imageFields);
    const hints = fields(launch.hints, undefined);
    return {
      image: {
        root: text(image.root),
        role: text(image.role),
        entry: image.entry === undefined ? undefined : text(image.entry),
        nodeFlags: image.nodeFlags === undefined ? undefined : texts(image.nodeFlags),
        config: text(image.config),
        sealed: image.sealed === undefined ? undefined : text(image.sealed),
        weights: image.weights === undefined ? undefined : texts(image.weights),
      },
      chip: parseSimulatedChip(readFileSync(text(launch.chip), "utf8")),
      release: text(launch.release),
      hints: Object.fromEntries(Object.entries(hints).map(([name, value]) => [name, text(value)])),
    };
  } catch (cause) {
    if (cause instanceof TeeError) throw cause;
    throw new TeeError("malformed", "launch file: it or its chip cannot be read", { cause });
  }
}

function fields(value: unknown, names: readonly string[] | undefined): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed();
  const found: [string, unknown][] = Object.entries(value);
  if (names !== undefined && !found.every(([name]) => names.includes(name))) throw malformed();
  return Object.fromEntries(found);
}

function text(value: unknown): string {
  if (typeof value !== "string" || value.includes("\0")) throw malformed();
  return value;
}

function texts(value: unknown): string[] {
  if (!Array.isArray(value)) throw malformed();
  return value.map(text);
}

function malformed(): TeeError {
  return new TeeError("malformed", "launch file: a field is missing, unknown or of another type");
}
