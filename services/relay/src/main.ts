// The relay's process.
import { createLog, runService, serve } from "@sotto/kit";
import { loadConfig } from "./config.ts";
import { createRelay } from "./relay.ts";

runService("relay", async () => {
  const config = loadConfig();
  const log = createLog({ failed: {} });
  const handler = createRelay({ ...config, fetch, clock: Date.now });
  return serve({
    handler,
    port: config.port,
    maxBodyBytes: 2 * 1024 * 1024,
    onFailure: () => log("failed", {}),
  });
});
