// A sealed process of the predictor with the engine in it.
import { openLlamaEngine } from "./engines/llama.ts";
import { rehearse } from "./rehearsal.ts";
import { runSession } from "./session-work.ts";

runSession(async (settings, role) => {
  if (settings.kind !== "llama") throw new Error("this code is for the embedded engine");
  await rehearse();
  return openLlamaEngine({ ...settings, isGuard: role === "guard" });
});
