// Puts the predictor together. This process never holds text: the engine runs in the sealed processes that it starts,
// or is a server that only they talk to.
import { createAttester, openReleaseFile, releasedCode } from "@sotto/attester";
import { openCountedLog, openKillSwitch, runService } from "@sotto/kit";
import { openSessionPool } from "@sotto/sealed";
import { loadConfig, type PredictorConfig } from "./config.ts";
import { findEngineBuild } from "./engine-package.ts";
import { verifyModelFile } from "./model-file.ts";
import { sessionSandbox, startSession } from "./session-process.ts";
import { serveSessions } from "./session-server.ts";
import { createTurnQueue } from "./turn-queue.ts";

const attestMs = 60_000;
const lifetimeMs = 600_000;
const connectionsPerProcess = 4;
// A model server gives up connections on which nothing is asked; the embedded engine waits for as long as it must.
const maxAgeMs = { llama: 3_600_000, openai: 30_000 } as const;

const events = {
  "session-ended": { outcome: ["answered", "refused", "failed"] },
  "process-failed": {},
  "inference-switched": { to: ["on", "off"] },
} as const;

/** Runs the service; `requiresAllLayers` keeps it from serving where the machine lacks a layer of the sandbox. */
export function runPredictor({ requiresAllLayers }: { readonly requiresAllLayers: boolean }): void {
  runService("predictor", async ({ nameBuild }) => {
    const config = loadConfig();
    const { measured } = config;
    nameBuild(releasedCode(openReleaseFile(config.releaseFile)())); // throws where there is no release to show
    const log = openCountedLog(events, { atOnce: ["inference-switched"] });
    const { engine } = measured;
    const processes = await openSessionPool({
      sandbox: sessionSandbox(config, await openModel(config)),
      start: (sandbox) => startSession({ sandbox, engine }),
      requiresAllLayers,
      clock: Date.now,
      minimumReady: measured.minimumReady,
      maximum: measured.maximumProcesses,
      maxAgeMs: maxAgeMs[engine.kind],
      onStartFailure: () => log.tell("process-failed", {}),
    });
    const attester = createAttester({
      tsmRoot: config.tsmRoot,
      release: config.releaseFile,
      role: measured.role,
      clock: Date.now,
    });
    const killSwitch = openKillSwitch(config.switchFile, (state) => {
      log.tell("inference-switched", { to: state });
      if (state === "off") server.cutAll();
    });
    const server = await serveSessions({
      port: config.port,
      role: measured.role,
      processes,
      attest: attester.attest,
      clock: Date.now,
      turns: createTurnQueue(measured.parallelAnswers),
      isOpen: () => measured.inference === "on" && killSwitch.state() === "on",
      maxConnections: measured.maximumProcesses * connectionsPerProcess,
      attestMs,
      lifetimeMs,
      onEnd: (outcome) => log.tell("session-ended", { outcome }),
    });
    return {
      address: server.address,
      close: async () => {
        killSwitch.close();
        await server.close();
        processes.close();
        log.close();
        await attester.close();
      },
    };
  });
}

/** Checks the model that the engine will run, and finds the engine; a server looks after its own model. */
async function openModel({ measured }: PredictorConfig): Promise<string | undefined> {
  const { engine } = measured;
  if (engine.kind === "openai") return undefined;
  await verifyModelFile(engine.path, engine.digest);
  return findEngineBuild();
}
