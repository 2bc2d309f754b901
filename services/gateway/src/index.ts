export { createGateway, type GatewayDependencies, gatewayLimits } from "./gateway.ts";
export { createNodeRouter, type InnerResponse, type NodeRouterDependencies } from "./node-router.ts";
export { SessionTable } from "./session-table.ts";
export { openSpentTokenStore, type SpentTokenStore } from "./spent-token-store.ts";
export {
  createRedeemer,
  type HonouredKey,
  type RedeemerDependencies,
  type Redemption,
} from "./token-redeemer.ts";
