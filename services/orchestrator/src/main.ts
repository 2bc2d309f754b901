// The orchestrator on AMD's hardware.
import { productionPolicy } from "@sotto/attestation";
import { runOrchestrator } from "./service.ts";

runOrchestrator(({ measured }) => productionPolicy(measured.trust));
