// What a sealed process does to itself before anybody's text comes near it, and what it finds of its own sandbox.
import type { SandboxLayer } from "@sotto/attestation";
import { closeDoors } from "./doors.ts";
import { canMakeCode, freezeBuiltins, hasFrozenBuiltins } from "./frozen-builtins.ts";

// Whatever leads out of the process.
const outward = ["fs.write", "child", "worker", "net", "wasi", "inspector", "ffi", "addon"] as const;

/**
 * Empties the environment, freezes the built-in objects, gives up what was needed to load, lets nothing more be loaded
 * and returns the layers of the sandbox that can be seen from inside. Called once, after everything has been loaded.
 */
export function lockDown(): SandboxLayer[] {
  const layers: SandboxLayer[] = [];
  // A file system of one's own brings two names, which are always the same.
  const isOwn = ([name, value]: [string, unknown]): boolean => /^(PWD|HOME)$/.test(name) && value === "/";
  if (Object.entries(process.env).every(isOwn)) layers.push("environment");
  for (const name of Object.keys(process.env)) delete process.env[name];
  const { permission } = process;
  if (permission !== undefined) {
    permission.drop("addon");
    permission.drop("fs.read");
    const isOpen = [...outward, "fs.read"].some((scope) => permission.has(scope));
    if (!isOpen) layers.push("permission");
  }
  closeDoors();
  freezeBuiltins();
  if (!canMakeCode() && hasFrozenBuiltins()) layers.push("code");
  return layers;
}
