// The relay's process.
import { createLog, createUpstream, runService, serve } from "@sotto/kit";
import { loadConfig } from "./config.ts";
import { createRelay, relayLimits } from "./relay.ts";

runService("relay", async () => {
  const { port, gatewayUrl, directoryUrl } = loadConfig();
  const log = createLog({ failed: { in: ["handler", "answer"] } });
  const handler = createRelay({ gatewayUrl, directoryUrl, fetch: createUpstream(), clock: Date.now });
  return serve({ handler, port, ...relayLimits, onFailure: (failure) => log("failed", { in: failure }) });
});
