// What a reporter is given at its start, and cannot change: its role, its device, and what has been asked of that before.
import { isAbsolute } from "node:path";
import { roleCode, type SessionBinding } from "@sotto/attestation/binding";
import { CodedError } from "@sotto/base";
import { reportsPerWindow } from "./report-budget.ts";

/** A process was started with arguments that are no seat. */
export class SeatError extends CodedError<"malformed"> {}

export type Seat = {
  readonly role: SessionBinding["role"];
  /** Absolute path of the report device's folder. */
  readonly device: string;
  /** How long ago it was asked for a report, milliseconds each. */
  readonly recent: readonly number[];
};

/** Why a reporter ended, as an exit code; any other is a bug or a signal. */
export const exitCode = { deviceLost: 69, malformed: 65, software: 70 } as const; // of sysexits

const maxAgeMs = 99_999;
const agesPattern = /^(\d{1,5}(,\d{1,5})*)?$/;

/** `ROLE DEVICE AGE,AGE` as arguments of a process; of too many ages the last remain. */
export function serializeSeat({ role, device, recent }: Seat): string[] {
  const ages = recent.slice(-reportsPerWindow).map((age) => Math.min(Math.max(0, Math.floor(age)), maxAgeMs));
  return [role, device, ages.join(",")];
}

/** Reads what `serializeSeat` writes; throws `SeatError`. */
export function parseSeat([role, device, ages, ...more]: readonly string[]): Seat {
  const isWhole = device !== undefined && isAbsolute(device) && more.length === 0;
  if (!isRole(role) || !isWhole || ages === undefined || !agesPattern.test(ages))
    throw new SeatError("malformed", "seat: not a role, a device and ages");
  const recent = ages === "" ? [] : ages.split(",").map(Number);
  if (recent.length > reportsPerWindow) throw new SeatError("malformed", "seat: too many ages");
  return { role, device, recent };
}

function isRole(role: string | undefined): role is Seat["role"] {
  return role !== undefined && Object.hasOwn(roleCode, role);
}
