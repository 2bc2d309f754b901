export { createRelay, type RelayDependencies, relayLimits } from "./relay.ts";
