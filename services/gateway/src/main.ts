// The gateway's process.
import { decodeBase64, systemRandom } from "@sotto/base";
import { importIssuerPublicKey } from "@sotto/credentials";
import { createLog, createUpstream, openMetrics, runService, serve } from "@sotto/kit";
import { createGatewayKeys } from "@sotto/wire/gateway";
import { loadConfig } from "./config.ts";
import { createGateway, gatewayLimits } from "./gateway.ts";
import { createNodeRouter } from "./node-router.ts";
import { openSpentTokenStore } from "./spent-token-store.ts";
import { createRedeemer, type HonouredKey } from "./token-redeemer.ts";

// The configuration format names the algorithms of every key, and there is one set.
const suites = [{ kdfId: 0x0001, aeadId: 0x0001 }];

runService("gateway", async () => {
  const config = loadConfig();
  const log = createLog({
    failed: { in: ["handler", "answer"] },
    redemption: { outcome: ["no-token", "token-refused", "token-spent", "store-failed"] },
  });
  const keys: HonouredKey[] = [];
  for (const { spki, ...times } of config.issuers.keys) {
    keys.push({ key: await importIssuerPublicKey(decodeBase64(spki)), ...times });
  }
  const store = await openSpentTokenStore(config.dataFile);
  store.keepOnly(keys.map(({ key }) => key.keyId));
  const redeemer = createRedeemer({
    issuerName: config.issuers.name,
    originInfo: config.issuers.originInfo,
    keys,
    store,
    clock: Date.now,
  });
  const route = createNodeRouter({
    nodes: config.nodes,
    redeem: async (header) => {
      const outcome = await redeemer(header);
      if (outcome !== "redeemed") log("redemption", { outcome });
      return outcome;
    },
    fetch: createUpstream(),
    clock: Date.now,
  });
  const pairs = config.keys.map(({ keyId, kemId, publicKey, privateKey }) => ({
    config: { keyId, kemId, publicKey: decodeBase64(publicKey), suites },
    privateKey: decodeBase64(privateKey),
  }));
  const handler = createGateway({ keys: await createGatewayKeys(pairs), route, random: systemRandom });
  const metrics = await openMetrics(config.metricsPort, log.metrics);
  const server = await serve({
    handler,
    port: config.port,
    hosts: config.hosts,
    ...gatewayLimits,
    onFailure: (failure) => log("failed", { in: failure }),
  });
  return {
    address: server.address,
    close: async () => {
      await server.close();
      await metrics?.close();
      await store.close();
    },
  };
});
