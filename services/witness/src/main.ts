// The witness's process.
import { createLog, runService, serve } from "@sotto/kit";
import { openCheckpointStore } from "./checkpoint-store.ts";
import { loadConfig } from "./config.ts";
import { createWitness } from "./witness.ts";

runService("witness", async () => {
  const config = loadConfig();
  const log = createLog({ failed: {} });
  const store = openCheckpointStore(config.dataFile);
  const handler = createWitness({ signer: config.signer, logs: config.logs, store, clock: Date.now });
  const server = await serve({
    handler,
    port: config.port,
    maxBodyBytes: 64 * 1024,
    onFailure: () => log("failed", {}),
  });
  return {
    address: server.address,
    close: async () => {
      await server.close();
      store.close();
    },
  };
});
