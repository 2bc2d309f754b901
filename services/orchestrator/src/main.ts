// The orchestrator on AMD's hardware: it serves in a whole sandbox, or not at all.
import { runOrchestrator } from "./service.ts";

runOrchestrator({ requiresAllLayers: true });
