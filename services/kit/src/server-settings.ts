// The variables that every HTTP service has.
import { z } from "zod";
import type { ExpectedHosts } from "./expected-hosts.ts";

/** A port as it stands in the environment; 0 takes a free one. */
export const portSetting = z
  .string()
  .regex(/^\d{1,5}$/)
  .transform(Number)
  .refine((port) => port <= 65_535);

// `relay.example`, `10.0.0.7:8080`, `[2001:db8::7]:8080`, as clients write them, in lower case.
const host = /^([a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*|\[[0-9a-f:]{2,39}\])(:\d{1,5})?$/;

/** Variables of a service that listens: its port, the hosts it is asked by, and a loopback port for its metrics. */
export const serverSettings = {
  SOTTO_PORT: portSetting,
  SOTTO_HOSTS: z
    .string()
    .transform((list): ExpectedHosts => list.split(","))
    .refine((hosts) => hosts.length <= 16 && hosts.every((one) => host.test(one)))
    .optional(),
  SOTTO_METRICS_PORT: portSetting.optional(),
};

/** Where a service listens, what it is called there, and where its metrics are. */
export type ServerConfig = {
  readonly port: number;
  readonly hosts: ExpectedHosts;
  readonly metricsPort: number | undefined;
};

/** Takes what is the server's out of an environment that has been read. */
export function serverConfig(env: {
  readonly SOTTO_PORT: number;
  readonly SOTTO_HOSTS?: ExpectedHosts | undefined;
  readonly SOTTO_METRICS_PORT?: number | undefined;
}): ServerConfig {
  return { port: env.SOTTO_PORT, hosts: env.SOTTO_HOSTS ?? [], metricsPort: env.SOTTO_METRICS_PORT };
}
