// Launches the confidential machines, those that are asked before those that ask.
import type { Images, MachineName } from "./images.ts";
import { type StackContext, start } from "./stack-context.ts";

/** Starts every machine that there is an image for, and returns the orchestrator's address. */
export async function startMachines(context: StackContext, images: Images): Promise<string> {
  const { state, link } = context;
  const launch = (name: MachineName, hints: Record<string, string>): Promise<string> => {
    const file = state.writeJson(
      {
        image: images[name],
        chip: state.file("keys", "chip.json"),
        release: state.file(`${name}-release.json`),
        hints: { SOTTO_PORT: "0", ...hints },
      },
      `${name}-launch.json`,
    );
    return start(context, name, "tools/tee/src/main.ts", {}, [file]);
  };
  const hostOf = async (name: "predictor" | "guard"): Promise<string> =>
    new URL(await link(`orchestrator-${name}`, await launch(name, {}))).host;
  return launch("orchestrator", {
    SOTTO_PREDICTORS: await hostOf("predictor"),
    ...(images.guard === undefined ? {} : { SOTTO_GUARDS: await hostOf("guard") }),
  });
}
