export { developmentPolicy, parseSimulatedRoot } from "./policy.ts";
