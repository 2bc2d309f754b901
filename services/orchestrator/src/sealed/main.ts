// A sealed process of the orchestrator, on AMD's hardware.
import { productionPolicy } from "@sotto/attestation";
import { runSession } from "./session-work.ts";

runSession(({ trust }) => productionPolicy(trust));
