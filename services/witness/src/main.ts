// The witness's process.
import { createLog, openMetrics, runService, serve } from "@sotto/kit";
import { openCheckpointStore } from "./checkpoint-store.ts";
import { loadConfig } from "./config.ts";
import { createWitness } from "./witness.ts";

runService("witness", async () => {
  const config = loadConfig();
  const log = createLog({ failed: {} });
  const store = openCheckpointStore(config.dataFile);
  const handler = createWitness({ signer: config.signer, logs: config.logs, store, clock: Date.now });
  const metrics = await openMetrics(config.metricsPort, log.metrics);
  const server = await serve({
    handler,
    port: config.port,
    hosts: config.hosts,
    maxBodyBytes: 64 * 1024,
    onFailure: () => log("failed", {}),
  });
  return {
    address: server.address,
    close: async () => {
      await server.close();
      await metrics?.close();
      store.close();
    },
  };
});
