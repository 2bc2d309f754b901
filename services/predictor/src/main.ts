// The predictor on AMD's hardware: it serves in a whole sandbox, or not at all.
import { runPredictor } from "./service.ts";

runPredictor({ requiresAllLayers: true });
