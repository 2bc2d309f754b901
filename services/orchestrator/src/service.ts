// Puts the orchestrator together. This process never holds text, nor a key that opens any: what to trust, and what to
// answer, is known to the sealed processes that it starts.
import { createAttester, openReleaseFile, releasedCode } from "@sotto/attester";
import { systemRandom } from "@sotto/base";
import { openCountedLog, openKillSwitch, runService, serve } from "@sotto/kit";
import { openSessionPool } from "@sotto/sealed";
import { loadConfig } from "./config.ts";
import { sessionSandbox, startSession } from "./session-process.ts";
import { createSwitchboard } from "./switchboard.ts";

const maxAgeMs = 100_000; // of a process that waits, and of the predictor session that it has verified

const events = {
  "session-ended": { outcome: ["answered", "refused", "failed"] },
  "process-failed": {},
  "predictor-missing": { why: ["predictor-refused", "predictor-unreachable"] },
  "guard-missing": { why: ["guard-refused", "guard-unreachable"] },
  "inference-switched": { to: ["on", "off"] },
} as const;

/** Runs the service; `requiresAllLayers` keeps it from serving where the machine lacks a layer of the sandbox. */
export function runOrchestrator({ requiresAllLayers }: { readonly requiresAllLayers: boolean }): void {
  runService("orchestrator", async ({ nameBuild }) => {
    const config = loadConfig();
    const { measured } = config;
    nameBuild(releasedCode(openReleaseFile(config.releaseFile)())); // throws where there is no release to show
    const log = openCountedLog(events, { atOnce: ["inference-switched"] });
    const attester = createAttester({
      tsmRoot: config.tsmRoot,
      release: config.releaseFile,
      role: "orchestrator",
      clock: Date.now,
    });
    const { predictors, guards } = config;
    const processes = await openSessionPool({
      sandbox: sessionSandbox(config),
      start: async (sandbox) => {
        const process = await startSession({
          ...{ sandbox, predictors, guards, random: systemRandom, attest: attester.attest },
        });
        const { obstacle } = process;
        if (obstacle === "predictor-refused" || obstacle === "predictor-unreachable")
          log.tell("predictor-missing", { why: obstacle });
        if (obstacle === "guard-refused" || obstacle === "guard-unreachable")
          log.tell("guard-missing", { why: obstacle });
        return process;
      },
      requiresAllLayers,
      clock: Date.now,
      minimumReady: measured.minimumReady,
      maximum: measured.maximumProcesses,
      maxAgeMs,
      onStartFailure: () => log.tell("process-failed", {}),
    });
    const killSwitch = openKillSwitch(config.switchFile, (state) => {
      log.tell("inference-switched", { to: state });
      if (state === "off") switchboard.dropAll();
    });
    const switchboard = createSwitchboard({
      processes,
      attest: attester.attest,
      isOpen: () => measured.inference === "on" && killSwitch.state() === "on",
      onEnd: (outcome) => log.tell("session-ended", { outcome }),
      clock: Date.now,
      random: systemRandom,
    });
    const server = await serve({ handler: switchboard.handle, port: config.port });
    return {
      address: server.address,
      close: async () => {
        killSwitch.close();
        switchboard.close();
        processes.close();
        log.close();
        await server.close();
        await attester.close();
      },
    };
  });
}
