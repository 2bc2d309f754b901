// A sealed process of the predictor whose engine is a server, on AMD's hardware.
import { productionPolicy } from "@sotto/attestation";
import { runOpenAiSession } from "./openai-session.ts";

runOpenAiSession(({ trust }) => productionPolicy(trust));
