// A sealed process of the predictor with the engine in it, on AMD's hardware.
import { productionPolicy } from "@sotto/attestation";
import { runLlamaSession } from "./llama-session.ts";

runLlamaSession(({ trust }) => productionPolicy(trust));
