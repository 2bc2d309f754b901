// Proves the scan before it is believed: a process with a canary in every form, and what the scan says of it.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemRandom } from "@sotto/base";
import { openTap } from "../privacy/tap.ts";
import { formsOf, makeCanary } from "./encodings.ts";
import { scan } from "./scan.ts";

const places = {
  memory: /^planted, node \d+: rw/,
  file: /^file .*planted$/,
  "deleted file": /open file .*\(deleted\)$/,
  link: /^link planted$/,
} as const;

/** Encodings that were looked for, and where which of them was not found: a scan with faults is not to be believed. */
export type PlantReport = { readonly encodings: readonly string[]; readonly faults: readonly string[] };

/** One line about it. */
export function describePlant({ encodings, faults }: PlantReport): string {
  const found = `in ${Object.keys(places).join(", ")}, in ${encodings.length} encodings: ${encodings.join(", ")}`;
  return faults.length === 0
    ? `planted canary found ${found}`
    : `FAULT planted canary not found ${faults.join("; ")}`;
}

/** Plants a canary in a process of its own, scans that process, its files and its link. */
export async function provePlant(): Promise<PlantReport> {
  const canary = makeCanary(systemRandom);
  const folder = mkdtempSync(join(tmpdir(), "sotto-planted-"));
  const sink = await openSink();
  const tap = await openTap(`http://127.0.0.1:${sink.port}`);
  const port = tap.address.split(":")[1] ?? "";
  const child = spawn(process.execPath, [join(import.meta.dirname, "planted.ts"), folder, port], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { NODE_NO_WARNINGS: "1" },
  });
  try {
    await plant(child, canary);
    while (tap.captured().length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    const { traces } = scan({
      canaries: new Map([["planted", canary]]),
      roots: [{ name: "planted", pid: child.pid ?? 0 }],
      folders: [folder],
      changed: { folders: [], sinceMs: 0 },
      links: new Map([["planted", tap.captured()]]),
    });
    const encodings = [...new Set(formsOf(canary).map(({ encoding }) => encoding))];
    const isFound = (encoding: string, place: RegExp): boolean =>
      traces.some((trace) => trace.encoding === encoding && place.test(trace.where));
    const faults = Object.entries(places).flatMap(([name, place]) =>
      encodings
        .filter((encoding) => !isFound(encoding, place))
        .map((encoding) => `in ${name}, in ${encoding}`),
    );
    return { encodings, faults };
  } finally {
    child.kill("SIGKILL");
    tap.close();
    sink.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function plant(child: ChildProcess, canary: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("exit", () => reject(new Error("planted process ended")));
    child.stdout?.once("data", () => resolve());
    child.stdin?.write(`${canary}\n`);
  });
}

async function openSink(): Promise<{ readonly port: number; readonly close: () => void }> {
  const server = createServer((socket) => socket.on("error", () => {}).resume());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    close: () => void server.close(),
  };
}
