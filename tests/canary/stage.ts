// A whole stack with a tap on every link, whose processes know nothing of the canaries; who asks is this process.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClientSettings, parseClientSettings } from "@sotto/sdk";
import { type Part, stopParts } from "../../tools/up/src/part.ts";
import { startStack } from "../../tools/up/src/stack.ts";
import { StateFolder } from "../../tools/up/src/state-folder.ts";
import { openTap, type Tap } from "../privacy/tap.ts";

export type Stage = {
  readonly folder: string;
  readonly startedAtMs: number;
  readonly settings: ClientSettings;
  readonly parts: readonly Part[];
  readonly taps: ReadonlyMap<string, Tap>;
  readonly model: string;
  /** Ends the processes; what they wrote stays until `close`. */
  readonly stop: () => Promise<void>;
  readonly close: () => Promise<void>;
};

const quiet = { step: () => {}, done: () => {}, ready: () => {}, note: () => {}, failed: () => {} };

/** Starts a stack; without a model server's URL the built-in engine answers. */
export async function openStage(modelUrl?: string): Promise<Stage> {
  const startedAtMs = Date.now();
  const folder = mkdtempSync(join(tmpdir(), "sotto-test-"));
  const state = StateFolder.open(folder);
  const parts: Part[] = [];
  const taps = new Map<string, Tap>();
  const options = { port: 0, state: folder, model: modelUrl, release: false, json: true };
  let endRefresh = (): void => {};
  const stop = (): Promise<void> => {
    endRefresh();
    return stopParts(parts.toReversed());
  };
  const close = async (): Promise<void> => {
    await stop();
    for (const tap of taps.values()) tap.close();
    state.close();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const stack = await startStack(
      options,
      state,
      quiet,
      (part) => parts.push(part),
      async (name, address) => {
        const tap = await openTap(address);
        taps.set(name, tap);
        return `${new URL(address).protocol}//${tap.address}`;
      },
    );
    endRefresh = stack.close;
    const settings = parseClientSettings(readFileSync(join(folder, "client.json"), "utf8"));
    return { folder, startedAtMs, settings, parts, taps, model: stack.model.id, stop, close };
  } catch (error) {
    await close();
    throw error;
  }
}
