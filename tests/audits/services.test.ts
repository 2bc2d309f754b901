// Findings about how services are run and what they tell, against the real processes.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ByteWriter, systemRandom } from "@sotto/base";
import { blind, importIssuerPublicKey } from "@sotto/credentials";
import { type RunningServer, serve } from "@sotto/kit";
import { startProxy } from "@sotto/proxy";
import type { PrivateFetch } from "@sotto/sdk";
import { readSources } from "../architecture/sources.ts";
import {
  accountSecret,
  type Ended,
  type Env,
  findFreePort,
  issuerKey,
  prepareServices,
  type RunningService,
  type ServiceName,
  serviceNames,
  startService,
} from "./service-stage.ts";

const canary = "canary-6131";
const { env } = await prepareServices();
const services = new Map<ServiceName, RunningService>();
const metricsPorts = new Map<ServiceName, number>();
let upstream: RunningServer;

before(async () => {
  // Answers of different length and pace, and one that breaks off.
  upstream = await serve({
    port: 0,
    handler: async (request) => {
      const text = await request.text();
      if (text.includes("slow")) await new Promise((resolve) => setTimeout(resolve, 50));
      const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
        controller.enqueue(new TextEncoder().encode(canary));
        await new Promise((resolve) => setTimeout(resolve, 10));
        if (text.includes("break")) controller.error(new Error(canary));
        else controller.close();
      };
      return new Response(new ReadableStream({ pull }), { headers: { "content-type": "message/ohttp-res" } });
    },
  });
  for (const name of serviceNames) metricsPorts.set(name, await findFreePort());
  const started = await Promise.all(
    serviceNames.map((name) =>
      startService(name, {
        ...env[name],
        ...(name === "relay" ? { SOTTO_GATEWAY: `${upstream.address}/gateway` } : {}),
        SOTTO_HOSTS: `${name}.example,${name}.example:8443`,
        SOTTO_METRICS_PORT: String(metricsPorts.get(name)),
      }),
    ),
  );
  for (const [i, service] of started.entries()) {
    const name = serviceNames[i];
    if (name !== undefined && "address" in service) services.set(name, service);
  }
  assert.equal(services.size, serviceNames.length, JSON.stringify(started));
});

after(async () => {
  await Promise.all([...services.values()].map(({ stop }) => stop()));
  await upstream.close();
});

function running(name: ServiceName): RunningService {
  const service = services.get(name);
  assert.ok(service !== undefined);
  return service;
}

const portOf = (address: string): number => Number(new URL(address).port);

/** Sends bytes as they are; returns all that comes back. */
function raw(port: number, text: string, host = "127.0.0.1"): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, host, () => socket.write(text));
    let answer = "";
    socket.on("data", (data) => {
      answer += data.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(answer));
  });
}

const metricsOf = async (name: ServiceName): Promise<string> =>
  (await fetch(`http://127.0.0.1:${metricsPorts.get(name)}/metrics`)).text();
const withoutCounts = (metrics: string): string => metrics.replaceAll(/ \d+$/gm, " #");

/** Hostile requests to a service, from different users in different places. */
async function pester(name: ServiceName): Promise<void> {
  const { address } = running(name);
  const paths = [
    "/relay",
    "/gateway",
    "/tokens",
    "/add",
    "/add-checkpoint",
    `/${canary}`,
    `/directory?${canary}`,
  ];
  for (const user of [`${canary}-alice`, `${canary}-bob`]) {
    for (const [i, path] of paths.entries()) {
      const headers = {
        "x-forwarded-for": `192.0.2.${i}`,
        "user-agent": user,
        "accept-language": "de-CH",
        "cf-ipcountry": "CH",
        authorization: `Bearer ${user}`,
        "content-type": i % 2 === 0 ? "message/ohttp-req" : canary,
      };
      const answers = [
        fetch(new URL(path, address), { method: "POST", headers, body: `${user} ${path}` }),
        fetch(new URL(path, address), { headers }),
      ];
      for (const answer of await Promise.all(answers)) await answer.arrayBuffer().catch(() => {});
    }
  }
}

/** Takes tokens; what the issuer counts is how many, in steps. */
async function takeTokens(count: number): Promise<void> {
  const key = await importIssuerPublicKey(issuerKey.spki);
  const challenge = {
    issuerName: "issuer.example",
    redemptionContext: new Uint8Array(),
    originInfo: "gateway.sotto.invalid",
  };
  const body = new ByteWriter().u16(count);
  for (let i = 0; i < count; i += 1) body.vector(2, blind(challenge, key, systemRandom).request);
  const response = await fetch(new URL("/tokens", running("issuer").address), {
    method: "POST",
    headers: {
      "content-type": "application/private-token-request-batch",
      authorization: `Bearer ${accountSecret}`,
      "x-forwarded-for": "192.0.2.99",
    },
    body: body.finish(),
  });
  assert.equal(response.status, 200);
}

test("6: metrics are the same lines before and after, and whoever asks for what changes counts alone", async () => {
  const first = new Map<ServiceName, string>();
  for (const name of serviceNames) first.set(name, await metricsOf(name));
  await Promise.all(serviceNames.map(pester));
  for (const body of ["break", "slow break", "slow", `break ${canary}`])
    await fetch(new URL("/relay", running("relay").address), {
      method: "POST",
      headers: { "content-type": "message/ohttp-req", "x-forwarded-for": "192.0.2.1" },
      body,
    }).then((response) => response.arrayBuffer().catch(() => {}));
  for (const count of [1, 2, 3]) await takeTokens(count);
  for (const name of serviceNames) {
    const text = await metricsOf(name);
    assert.equal(withoutCounts(text), withoutCounts(first.get(name) ?? ""), name);
    const line = /^sotto_events_total\{event="[a-z-]+"(,[a-z_]+="[a-z0-9<>=-]+")*\} \d+$/;
    const [type, ...lines] = text.trimEnd().split("\n");
    assert.equal(type, "# TYPE sotto_events_total counter");
    for (const one of lines) assert.match(one, line, name);
  }
  assert.match(await metricsOf("relay"), /\{event="failed",in="answer"\} 3\n/);
  const issued = /\{event="issued",tokens="<2"\} 1\n.*\{event="issued",tokens="2-17"\} 2\n/s;
  assert.match(await metricsOf("issuer"), issued);
});

test("6: log lines are of a closed set: no time, no duration, no place, no user", () => {
  const allowed: Readonly<Record<ServiceName, RegExp>> = {
    relay: /^\{"event":"failed","in":"(handler|answer)"\}$/,
    gateway: /^\{"event":"(failed","in":"(handler|answer)|redemption","outcome":"[a-z-]+)"\}$/,
    issuer: /^\{"event":"(failed|issued","tokens":"(<2|2-17|>=17))"\}$/,
    publisher: /^\{"event":"(failed|refresh-failed)"\}$/,
    witness: /^\{"event":"failed"\}$/,
  };
  for (const name of serviceNames) {
    for (const line of running(name).output().split("\n").filter(Boolean))
      assert.match(line, allowed[name], name);
  }
  assert.deepEqual(
    running("relay").output().trim().split("\n"),
    Array(3).fill('{"event":"failed","in":"answer"}'),
  );
  const steps = ["<2", "2-17", "2-17"].map((tokens) => `{"event":"issued","tokens":"${tokens}"}`);
  assert.deepEqual(running("issuer").output().trim().split("\n"), steps);
});

test("6: nothing in a service writes to standard error but its log, and the end of a process", () => {
  const writers = readSources()
    .filter(({ tier, isTest, text }) => tier === "services" && !isTest && /\bstderr\b|\bconsole\b/.test(text))
    .map(({ path }) => path);
  assert.deepEqual(writers, ["services/kit/src/log.ts", "services/kit/src/service.ts"]);
});

test("6: metrics are on loopback alone, at a port of their own, and for whoever means this server", async () => {
  for (const name of serviceNames) {
    const port = metricsPorts.get(name) ?? 0;
    assert.equal((await fetch(new URL("/metrics", running(name).address))).status, 404, name);
    if (process.platform === "linux")
      assert.equal(
        await raw(port, "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n", "127.0.0.2"),
        "",
        name,
      );
    assert.match(
      await raw(port, "GET /metrics HTTP/1.1\r\nhost: evil.example\r\n\r\n"),
      /^HTTP\/1\.1 421 /,
      name,
    );
  }
});

test("31: a request for another host is refused by relay, gateway, issuer, publisher and witness", async () => {
  const paths: Readonly<Record<ServiceName, string>> = {
    relay: "POST /relay",
    gateway: "POST /gateway",
    issuer: "GET /.well-known/private-token-issuer-directory",
    publisher: "GET /checkpoint",
    witness: "POST /add-checkpoint",
  };
  for (const name of serviceNames) {
    const port = portOf(running(name).address);
    const [method = "", path = ""] = paths[name].split(" ");
    const ask = (hosts: readonly string[], target = path): Promise<string> => {
      const lines = hosts.map((host) => `Host: ${host}\r\n`).join("");
      return raw(
        port,
        `${method} ${target} HTTP/1.1\r\n${lines}connection: close\r\ncontent-length: 0\r\n\r\n`,
      );
    };
    const own = [
      `127.0.0.1:${port}`,
      `localhost:${port}`,
      "127.0.0.1:1",
      `${name}.example`,
      `${name}.example:8443`,
    ];
    for (const host of own) {
      assert.doesNotMatch(await ask([host]), /wrong-host|"malformed"}$/, `${name} ${host}`);
      assert.doesNotMatch(await ask([host], `http://${host}${path}`), /wrong-host/, `${name} ${host}`);
    }
    const others = [
      ...["evil.example", "", `${name}.example.evil.example`, `${name}.example:80`, "127.0.0.1.evil.example"],
      ...["0.0.0.0", "127.0.0.1@evil.example", `evil.example:${port}`, `localhost.evil.example:${port}`],
    ];
    for (const host of others) {
      const answer = await ask([host]);
      assert.match(answer, /^HTTP\/1\.1 421 .*"code":"wrong-host"/s, `${name} ${host}`);
      assert.ok(host === "" || !answer.includes(host), "nothing of it comes back");
    }
    assert.match(await ask(["127.0.0.1"], `http://evil.example${path}`), /^HTTP\/1\.1 421 /, name);
    assert.match(await ask([]), /^HTTP\/1\.1 400 /, name);
    assert.match(await ask(["127.0.0.1", "evil.example"]), /^HTTP\/1\.1 400 /, name);
    assert.match(await ask(["127.0.0.1", "127.0.0.1"]), /^HTTP\/1\.1 400 /, name);
  }
});

test("31: the local endpoint serves no page that has its own name lead to loopback", async (context) => {
  // It must not come as far as a question.
  const unused = (): never => assert.fail("asked");
  const privateFetch = Object.assign(unused, { verify: unused, close: unused, baseUrl: "" });
  const proxy = await startProxy(privateFetch as unknown as PrivateFetch, 0);
  context.after(() => proxy.close());
  const port = portOf(proxy.address);
  const ask = (head: string): Promise<string> => raw(port, `${head}connection: close\r\n\r\n`);
  for (const path of ["/v1/models", "/verification", "/v1/chat/completions"]) {
    for (const host of [
      "evil.example",
      `evil.example:${port}`,
      "127.0.0.1",
      `127.0.0.1:${port}.evil.example`,
    ])
      assert.match(
        await ask(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\n`),
        /^HTTP\/1\.1 (421 .*wrong-host|400 )/s,
        host,
      );
    assert.match(await ask(`GET ${path} HTTP/1.1\r\n`), /^HTTP\/1\.1 400 /);
  }
  const local = `GET /nothing HTTP/1.1\r\nhost: localhost:${port}\r\n`;
  assert.match(await ask(local), /^HTTP\/1\.1 404 /, "its own is served");
  assert.match(await ask(`${local}origin: http://evil.example\r\n`), /^HTTP\/1\.1 403 .*wrong-origin/s);
});

// Values of variables that are meant to do harm; none of them is to be seen again.
const hostile: readonly Env[] = [
  { SOTTO_DEBUG: canary },
  { SOTTO_PORT: `0\n${canary}` },
  { SOTTO_PORT: `"${canary}"` },
  { SOTTO_HOSTS: `${canary}/` },
  { SOTTO_DATA: canary.padEnd(5000, "x"), SOTTO_GATEWAY: `http://${canary.padEnd(5000, "x")}` },
  { NODE_OPTIONS: "--no-warnings" },
  { NODE_EXTRA_CA_CERTS: "" },
  { NODE_TLS_REJECT_UNAUTHORIZED: "1" },
  { LD_LIBRARY_PATH: `/${canary}` },
  { LD_PRELOAD: "" },
  { SSLKEYLOGFILE: "" },
  { GLIBC_TUNABLES: "" },
  { OPENSSL_ia32cap: "" },
  { HOSTALIASES: `/${canary}` },
];

test("13: no service boots with a variable that is unknown, hostile or malformed, nor tells its value", async () => {
  // Each service gets a part of the list, and its neighbour the next: a boot takes a while.
  const cases = serviceNames.flatMap((name, i) =>
    [0, 1, 2].map((j): [ServiceName, Env] => [name, hostile[(i * 3 + j) % hostile.length] ?? {}]),
  );
  const boot = async ([name, bad]: [ServiceName, Env]): Promise<void> => {
    const ended = (await startService(name, { ...env[name], ...bad })) as Ended; // when it boots, it has no code
    const what = `${name} ${Object.keys(bad)}`;
    assert.equal(ended.code, 78, what);
    assert.ok(!ended.output.includes(canary), what);
    const line = JSON.parse(ended.output);
    assert.deepEqual([line.event, line.service, line.exit], ["crashed", name, 78], what);
    const [variable = ""] = Object.keys(bad);
    if (line.code === "malformed") assert.ok(line.variables.includes(variable) || name === "relay", what);
    else assert.equal(line.code, "unknown-variable", what);
  };
  const queue = cases.values();
  const work = async (): Promise<void> => {
    for (const one of queue) await boot(one);
  };
  await Promise.all([work(), work()]);
});

test("13: a confidential process gets an empty environment as it is given, and stops at one variable more", () => {
  const kit = join(import.meta.dirname, "../../services/kit/src/index.ts");
  const zod = join(import.meta.dirname, "../../node_modules/zod/index.js");
  const program = `import { readConfig, runService } from ${JSON.stringify(kit)};
    import { z } from ${JSON.stringify(zod)};
    const schema = z.strictObject({ SOTTO_PORT: z.string() });
    runService("sealed", async () => {
      readConfig(schema, process.env, { confidential: true });
      process.exit(0);
    });`;
  const boot = (given: Env) =>
    spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
      env: { ...given },
      encoding: "utf8",
    });
  const good = boot({ SOTTO_PORT: "0" });
  assert.deepEqual([good.status, good.stderr], [0, ""]);
  const oneMore: readonly Env[] = [{ TZ: canary }, { PATH: `/${canary}` }, { SOTTO_PORT: `${canary}\\` }];
  for (const bad of oneMore) {
    const { status, stdout, stderr } = boot({ SOTTO_PORT: "0", ...bad });
    assert.equal(status, 78, Object.keys(bad).join());
    assert.ok(!(stdout + stderr).includes(canary));
  }
});
