// The predictor on simulated hardware: another file, so another measurement, and never in a production image.
import { runPredictor } from "./service.ts";

runPredictor({ requiresAllLayers: false });
