// The publisher's process.
import { createLog, openMetrics, runService, serve } from "@sotto/kit";
import { loadConfig } from "./config.ts";
import { createCosigner } from "./cosigner.ts";
import { openFileStore } from "./file-store.ts";
import { createPublisher } from "./publisher.ts";
import { openSequencer } from "./sequencer.ts";

const witnessTimeoutMs = 2000;
const refreshMs = 60_000;

runService("publisher", async () => {
  const config = loadConfig();
  const log = createLog({ failed: {}, "refresh-failed": {} });
  const store = openFileStore(config.folder);
  const cosign = createCosigner({ witnesses: config.witnesses, fetch, timeoutMs: witnessTimeoutMs });
  const { signer, policy } = config;
  const sequencer = openSequencer({ signer, store, policy, cosign, clock: Date.now });
  const refresh = (): void => void sequencer.refresh().catch(() => log("refresh-failed", {}));
  refresh();
  const timer = setInterval(refresh, refreshMs);
  const handler = createPublisher({ sequencer, store, authorities: config.authorities });
  const metrics = await openMetrics(config.metricsPort, log.metrics);
  const server = await serve({
    handler,
    port: config.port,
    hosts: config.hosts,
    maxBodyBytes: 512 * 1024,
    onFailure: () => log("failed", {}),
  });
  return {
    address: server.address,
    close: async () => {
      clearInterval(timer);
      await server.close();
      await metrics?.close();
      store.close();
    },
  };
});
