// A sealed process of the predictor whose engine is a server, on simulated hardware: other code, so another
// measurement.
import { developmentPolicy } from "@sotto/attestation/software";
import { runOpenAiSession } from "./openai-session.ts";

runOpenAiSession(({ trust }) => developmentPolicy(trust));
