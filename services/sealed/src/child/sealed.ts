// The life of a sealed process: locked down, ready, one request, gone. It has no words for what goes wrong: its errors
// are an exit code, and its standard error leads nowhere.

import { type SandboxLayer, serializeSandboxLayers } from "@sotto/attestation";
import { messageType, type Obstacle, type Outcome, obstacles, outcomes, serializeWord } from "../message.ts";
import { Channel } from "./channel.ts";
import { lockDown } from "./lockdown.ts";

const exitSoftware = 70; // EX_SOFTWARE of sysexits
const exitOrphaned = 1;

/** What a sealed process does; both parts may use the channel. */
export type SealedWork<Prepared> = {
  /** Before anybody's text comes: opens what the request will need. Runs before the process locks itself down. */
  readonly load: () => Promise<Prepared>;
  /** What can be prepared from behind the lock; the obstacle is told to the parent. */
  readonly prepare: (prepared: Prepared, channel: Channel) => Promise<Obstacle>;
  /** Serves the one request. */
  readonly serve: (prepared: Prepared, channel: Channel) => Promise<Outcome>;
};

/** Runs this process as a sealed one, to its end. */
export function runSealed<Prepared>(work: SealedWork<Prepared>): void {
  const crash = (): void => process.exit(exitSoftware);
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
  process.removeAllListeners("warning");
  process.on("warning", () => {});
  run(work).catch(crash);
}

async function run<Prepared>(work: SealedWork<Prepared>): Promise<void> {
  const prepared = await work.load();
  const channel = new Channel(process.stdin, process.stdout, () => process.exit(exitOrphaned));
  await serveOnce(work, prepared, channel, lockDown());
  process.exit(0);
}

/** Gets ready, waits for the one client, serves it, and says how that ended. */
export async function serveOnce<Prepared>(
  work: SealedWork<Prepared>,
  prepared: Prepared,
  channel: Channel,
  layers: readonly SandboxLayer[],
): Promise<void> {
  const assigned = channel.next(messageType.assign);
  // At once, for the evidence that it may need to get ready says so.
  channel.send(messageType.locked, serializeSandboxLayers(layers));
  const obstacle = await work.prepare(prepared, channel);
  channel.send(messageType.ready, serializeWord(obstacles, obstacle));
  await assigned;
  const outcome = await work.serve(prepared, channel);
  channel.send(messageType.done, serializeWord(outcomes, outcome));
  await channel.flush();
}
