// The switch by which the host turns inference off while the service runs. It is no secret and no proof: the host could
// stop the machine as well. So it can only close; whatever is not plainly "on" is off.
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";

export type SwitchState = "on" | "off";

/** `state` is as of the last look at the file. */
export type KillSwitch = { readonly state: () => SwitchState; readonly close: () => void };

export type KillSwitchOptions = {
  readonly pollMs?: number;
  /** Returns what the file holds, undefined when there is none; throws when it cannot be read. */
  readonly read?: (path: string) => string | undefined;
};

const defaultPollMs = 250;
const maxBytes = 8; // more than either word
// A pipe in place of the file must not hold the process up until somebody writes.
const readOnly = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0); // absent on Windows

/**
 * Watches a file that holds `on` or `off` and a line feed; calls `onChange` for each change after the first look.
 *
 * Without a path the switch is on. A file that was never there leaves it on, so that a host may come with none; one
 * that has gone, cannot be read or holds anything else turns it off.
 */
export function openKillSwitch(
  path: string | undefined,
  onChange: (state: SwitchState) => void,
  options: KillSwitchOptions = {},
): KillSwitch {
  if (path === undefined) return { state: () => "on", close: () => {} };
  const read = options.read ?? readShortFile;
  let seen = false;
  const look = (): SwitchState => {
    try {
      const content = read(path);
      if (content === undefined) return seen ? "off" : "on";
      seen = true;
      return content === "on\n" ? "on" : "off";
    } catch {
      seen = true;
      return "off";
    }
  };
  let state = look();
  const timer = setInterval(() => {
    const next = look();
    if (next === state) return;
    state = next;
    onChange(next);
  }, options.pollMs ?? defaultPollMs).unref();
  return { state: () => state, close: () => clearInterval(timer) };
}

function readShortFile(path: string): string | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, readOnly);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  try {
    if (!fstatSync(descriptor).isFile()) return "";
    const buffer = Buffer.alloc(maxBytes);
    return buffer.toString("latin1", 0, readSync(descriptor, buffer, 0, maxBytes, 0));
  } finally {
    closeSync(descriptor);
  }
}
