// The layers of a sealed process's sandbox that can be seen from outside, as the kernel tells them: the process itself
// is not asked.
import { readFile, readlink } from "node:fs/promises";
import type { SandboxLayer } from "@sotto/attestation";

const namespaces = ["user", "net", "mnt", "pid", "ipc", "uts"];
const noCapabilities = /^0+$/;

/** Looks at the process of this id; where the kernel tells nothing, nothing holds. */
export async function probeSandbox(pid: number): Promise<SandboxLayer[]> {
  const [status, limits, isApart] = await Promise.all([
    readTable(`/proc/${pid}/status`, ":"),
    readTable(`/proc/${pid}/limits`, "  "),
    hasOwnNamespaces(pid),
  ]);
  const layers: SandboxLayer[] = [];
  if (limits.get("Max core file size")?.startsWith("0 ") === true) layers.push("core-dumps");
  const has = (name: string): boolean => !noCapabilities.test(status.get(name) ?? "1");
  if (status.get("NoNewPrivs") === "1" && !has("CapEff") && !has("CapPrm") && !has("CapAmb")) {
    layers.push("privileges");
  }
  if (isApart) layers.push("namespaces");
  const isBounded = (name: string): boolean => /^\d+ /.test(limits.get(name) ?? "");
  const bounded = ["Max data size", "Max cpu time", "Max open files"];
  if (bounded.every(isBounded) && limits.get("Max file size")?.startsWith("0 ") === true)
    layers.push("limits");
  return layers;
}

async function readTable(path: string, separator: string): Promise<Map<string, string>> {
  const text = await readFile(path, "utf8").catch(() => "");
  const lines = text.split("\n").map((line): [string, string] => {
    const at = line.indexOf(separator);
    return at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at + separator.length).trim()];
  });
  return new Map(lines);
}

async function hasOwnNamespaces(pid: number): Promise<boolean> {
  const apart = await Promise.all(
    namespaces.map(async (name) => {
      const [own, its] = await Promise.all([
        readlink(`/proc/self/ns/${name}`).catch(() => ""),
        readlink(`/proc/${pid}/ns/${name}`).catch(() => ""),
      ]);
      return own !== "" && its !== "" && own !== its;
    }),
  );
  return apart.every((is) => is);
}
