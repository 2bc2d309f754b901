// The issuer's process.
import { decodeHex } from "@sotto/base";
import { createIssuerKey } from "@sotto/credentials/issuer";
import { buckets, createLog, openMetrics, runService, serve } from "@sotto/kit";
import { loadConfig } from "./config.ts";
import { createIssuer, issuerLimits } from "./issuer.ts";
import { openQuotaStore } from "./quota-store.ts";

runService("issuer", async () => {
  const config = loadConfig();
  const log = createLog({ issued: { tokens: buckets(2, 17) }, failed: {} });
  const quota = openQuotaStore(config.dataFile);
  const handler = createIssuer({
    keys: config.keys.map(({ privateKeyPem, ...times }) => ({
      key: createIssuerKey(privateKeyPem),
      ...times,
    })),
    accounts: config.accounts.map(({ id, secretSha256 }) => ({ id, secretDigest: decodeHex(secretSha256) })),
    quota,
    quotaPerDay: config.quotaPerDay,
    clock: Date.now,
    onIssued: (tokens) => log("issued", { tokens }),
  });
  const metrics = await openMetrics(config.metricsPort, log.metrics);
  const server = await serve({
    handler,
    port: config.port,
    hosts: config.hosts,
    ...issuerLimits,
    onFailure: () => log("failed", {}),
  });
  return {
    address: server.address,
    close: async () => {
      await server.close();
      await metrics?.close();
      quota.close();
    },
  };
});
