// The orchestrator on simulated hardware: another file, so another measurement, and never in a production image.
import { runOrchestrator } from "./service.ts";

runOrchestrator({ requiresAllLayers: false });
