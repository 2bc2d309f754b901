// A sealed process of the orchestrator, on simulated hardware: other code, so another measurement.
import { developmentPolicy } from "@sotto/attestation/software";
import { runSession } from "./session-work.ts";

runSession(({ trust }) => developmentPolicy(trust));
