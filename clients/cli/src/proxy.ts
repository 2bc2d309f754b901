// `sotto proxy`: the local OpenAI-compatible endpoint for a stack that runs elsewhere or already.
import { startProxy } from "@sotto/proxy";
import { Command, InvalidArgumentError, Option } from "commander";
import { connect } from "./connection.ts";
import { note } from "./terminal.ts";

type ProxyOptions = {
  readonly stack?: string;
  readonly json?: boolean;
  readonly port: number;
  readonly policy: "development" | "production";
};

export function proxyCommand(): Command {
  return new Command("proxy")
    .description("serve the OpenAI API on this machine's loopback address")
    .option("--stack <folder>", "state folder of a running stack")
    .option("--port <number>", "port to listen on, 0 for a free one", parsePort, 8787)
    .addOption(
      new Option("--policy <name>", "what to accept")
        .choices(["development", "production"])
        .default("development"),
    )
    .option("--json", "print events as JSON lines")
    .action(async (options: ProxyOptions) => {
      const privateFetch = connect(options);
      const server = await startProxy(privateFetch, options.port);
      if (options.json === true) {
        process.stdout.write(`${JSON.stringify({ event: "ready", address: server.address })}\n`);
      } else note(`OpenAI-compatible endpoint at ${server.address}/v1; ctrl-c ends it`);
      await new Promise<void>((resolve) => {
        process.once("SIGINT", resolve);
        process.once("SIGTERM", resolve);
      });
      privateFetch.close();
      await server.close();
    });
}

export function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65535) throw new InvalidArgumentError("not a port number");
  return port;
}
