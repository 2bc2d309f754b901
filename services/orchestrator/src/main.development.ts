// The orchestrator on simulated hardware: another file, so another measurement, and never in a production image.
import { developmentPolicy } from "@sotto/attestation/software";
import { runOrchestrator } from "./service.ts";

runOrchestrator(({ measured }) => developmentPolicy(measured.trust));
