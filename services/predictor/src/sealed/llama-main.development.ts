// A sealed process of the predictor with the engine in it, on simulated hardware: other code, so another
// measurement.
import { developmentPolicy } from "@sotto/attestation/software";
import { runLlamaSession } from "./llama-session.ts";

runLlamaSession(({ trust }) => developmentPolicy(trust));
