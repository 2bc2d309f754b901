// The relay's process.
import { createLog, createUpstream, openMetrics, runService, serve } from "@sotto/kit";
import { loadConfig } from "./config.ts";
import { createRelay, relayLimits } from "./relay.ts";

runService("relay", async () => {
  const { port, hosts, metricsPort, gatewayUrl, directoryUrl } = loadConfig();
  const log = createLog({ failed: { in: ["handler", "answer"] } });
  const handler = createRelay({ gatewayUrl, directoryUrl, fetch: createUpstream(), clock: Date.now });
  const metrics = await openMetrics(metricsPort, log.metrics);
  const server = await serve({
    handler,
    port,
    hosts,
    ...relayLimits,
    onFailure: (failure) => log("failed", { in: failure }),
  });
  return {
    address: server.address,
    close: async () => {
      await server.close();
      await metrics?.close();
    },
  };
});
