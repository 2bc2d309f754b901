// The work of a sealed process of the predictor with the engine in it.
import { openLlamaEngine } from "./engines/llama.ts";
import { rehearse } from "./rehearsal.ts";
import { type CreatePolicy, runSession } from "./session-work.ts";

/** Runs this process. */
export function runLlamaSession(createPolicy: CreatePolicy): void {
  runSession(async (settings, role) => {
    if (settings.kind !== "llama") throw new Error("this code is for the embedded engine");
    await rehearse();
    return openLlamaEngine({ ...settings, isGuard: role === "guard" });
  }, createPolicy);
}
