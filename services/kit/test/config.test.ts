import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  ConfigError,
  readConfig,
  readConfigFile,
  readConfigJson,
  serverConfig,
  serverSettings,
} from "@sotto/kit";
import fc from "fast-check";
import { z } from "zod";

const schema = z.strictObject({
  SOTTO_PORT: z.string().regex(/^\d{1,5}$/),
  SOTTO_DATA: z.string().optional(),
});
const good = { SOTTO_PORT: "80" };
const confidential = { confidential: true, platform: "linux" };

test("known variables are read, others without the prefix are nobody's business", () => {
  const env = { ...good, HOME: "/root", PATH: "/bin", NODE_ENV: "production", NODE_NO_WARNINGS: "1" };
  assert.deepEqual(readConfig(schema, env), good);
});

test("audit 13: whatever is unknown, malformed, over-long or changes the runtime stops the boot", () => {
  const bad: Record<string, string>[] = [
    {},
    { ...good, SOTTO_PROT: "81" },
    { ...good, SOTTO_: "" },
    { SOTTO_PORT: "80\n" },
    { SOTTO_PORT: "'80'" },
    { ...good, SOTTO_DATA: "a\nSOTTO_X=1" },
    { ...good, SOTTO_DATA: "\u0000" },
    { ...good, SOTTO_DATA: "x".repeat(4097) },
    ...["NODE_OPTIONS", "NODE_EXTRA_CA_CERTS", "NODE_TLS_REJECT_UNAUTHORIZED", "NODE_PATH", "node_options"],
    ...["NODE_REPL_EXTERNAL_MODULE", "NODE_ICU_DATA", "NODE_USE_ENV_PROXY", "NODE_V8_COVERAGE", "NODE_ENVX"],
    ...[
      "LD_PRELOAD",
      "LD_LIBRARY_PATH",
      "LD_AUDIT",
      "DYLD_INSERT_LIBRARIES",
      "GLIBC_TUNABLES",
      "MALLOC_TRACE",
    ],
    ...["SSLKEYLOGFILE", "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF", "OPENSSL_ia32cap", "GCONV_PATH"],
    ...["HOSTALIASES", "RES_OPTIONS", "LOCALDOMAIN"],
  ].map((one) => (typeof one === "string" ? { ...good, [one]: "" } : one));
  for (const env of bad) {
    assert.throws(() => readConfig(schema, env), ConfigError, Object.keys(env).join(" "));
  }
});

test("audit 13: a confidential service knows every variable there is, and takes plain words only", () => {
  const data = "/run/sotto/a_b-c.d:1,2=[x]~%";
  const env = { ...good, SOTTO_DATA: data };
  assert.deepEqual(readConfig(schema, env, confidential), env);
  const bad: Record<string, string>[] = [
    ...[
      "PATH",
      "HOME",
      "TZ",
      "LANG",
      "LC_ALL",
      "PWD",
      "_",
      "",
      "NODE_ENV",
      "HTTP_PROXY",
      "UV_THREADPOOL_SIZE",
    ],
    ...["LD_PRELOAD", "NODE_OPTIONS", "sotto_port", "__proto__", "constructor", "toString", "SOTTO_OTHER"],
  ].map((name) => Object.fromEntries([...Object.entries(good), [name, "x"]]));
  for (const value of ['"', "'", "`", "\\", "\n", "\r", "\t", "\0", "\u007f", "\u0080", "é", "\u2028", "😀"])
    bad.push({ ...good, SOTTO_DATA: `a${value}b` });
  bad.push({ ...good, SOTTO_DATA: "x".repeat(1025) });
  for (const one of bad)
    assert.throws(() => readConfig(schema, one, confidential), ConfigError, JSON.stringify(one));
});

test("what a developer's system puts into every process is let through there, and nowhere else", () => {
  const mac = { ...good, __CF_USER_TEXT_ENCODING: "0x0" };
  const windows = { ...good, SystemRoot: "C:\\Windows", PATH: "C:\\" };
  assert.deepEqual(readConfig(schema, mac, { confidential: true, platform: "darwin" }), good);
  assert.deepEqual(readConfig(schema, windows, { confidential: true, platform: "win32" }), good);
  for (const env of [mac, windows]) assert.throws(() => readConfig(schema, env, confidential), ConfigError);
});

test("audit 13: any environment is read whole or refused, and nothing of a value or an unknown name is in the refusal", () => {
  const canary = "cAnArY";
  const names = fc.oneof(
    fc.constantFrom("SOTTO_PORT", "SOTTO_DATA", "NODE_OPTIONS", "LD_PRELOAD", "PATH", "__proto__"),
    fc.string({ unit: "binary" }).map((text) => `SOTTO_${canary}${text}`),
    fc.string({ unit: "binary" }).map((text) => `${canary}${text}`),
  );
  const values = fc.oneof(
    fc.constantFrom("80", "/run/data"),
    fc.string({ unit: "binary", maxLength: 40 }).map((text) => `${canary}${text}`),
    fc.integer({ min: 1000, max: 5000 }).map((length) => canary.padEnd(length, "x")),
  );
  let read = 0;
  const property = (env: Record<string, string>, options: { confidential?: boolean }): void => {
    try {
      const config = readConfig(schema, env, options);
      read += 1;
      for (const [name, value] of Object.entries(config)) assert.equal(value, env[name]);
      const all = Object.keys(env).filter(
        (name) => options.confidential === true || name.startsWith("SOTTO_"),
      );
      assert.deepEqual(Object.keys(config).sort(), all.sort());
      if (options.confidential === true)
        for (const value of Object.values(env)) assert.match(value, /^[\x20-\x7e]{0,1024}$/);
    } catch (error) {
      assert.ok(error instanceof ConfigError, String(error));
      assert.ok(!JSON.stringify([error.message, error.stack, error.code, error.variables]).includes(canary));
      for (const name of error.variables)
        assert.ok(Object.hasOwn(schema.shape, name), "a name of the schema");
    }
  };
  const environments = fc
    .array(fc.tuple(names, values), { maxLength: 4 })
    .map((entries) => Object.fromEntries(entries));
  fc.assert(
    fc.property(environments, fc.boolean(), (env, plain) => {
      const options = { confidential: plain, platform: "linux" };
      property(env, options);
      property({ ...env, ...good }, options);
    }),
    { numRuns: 500 },
  );
  assert.ok(read > 50, "some of them are read");
});

test("a check of the schema that throws quotes nothing", () => {
  const throwing = z.strictObject({
    SOTTO_URL: z.string().refine((url) => new URL(url).username === ""),
  });
  assert.throws(
    () => readConfig(throwing, { SOTTO_URL: "canary" }),
    (error) =>
      error instanceof ConfigError && !String(error.stack).includes("canary") && error.cause === undefined,
  );
});

test("ports, hosts and the port of metrics are read strictly", () => {
  const server = z.strictObject(serverSettings);
  const read = (env: Record<string, string>) => serverConfig(readConfig(server, { SOTTO_PORT: "0", ...env }));
  assert.deepEqual(read({}), { port: 0, hosts: [], metricsPort: undefined });
  const hosts = "relay.example,relay.example:8443,10.0.0.7:80,[2001:db8::7]:80";
  assert.deepEqual(read({ SOTTO_HOSTS: hosts, SOTTO_METRICS_PORT: "9100", SOTTO_PORT: "65535" }), {
    port: 65_535,
    hosts: hosts.split(","),
    metricsPort: 9100,
  });
  for (const list of ["", ",", "a,", "a b", "A.example", "*.example", "http://a", "a:b", "a/", "a..b", "x@y"])
    assert.throws(() => read({ SOTTO_HOSTS: list }), ConfigError, list);
  assert.throws(() => read({ SOTTO_HOSTS: Array(17).fill("a").join(",") }), ConfigError);
  for (const port of ["", "-1", "65536", "99999", "080808", "1.0", "0x50"])
    for (const name of ["SOTTO_PORT", "SOTTO_METRICS_PORT"])
      assert.throws(() => read({ [name]: port }), ConfigError, `${name} ${port}`);
});

test("a file that cannot be used is told by its variable, without path or content", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "sotto-config-canary-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "file.json");
  writeFileSync(path, '{"a":1}');
  const shape = z.strictObject({ a: z.number() });
  assert.deepEqual(readConfigJson("SOTTO_KEYS", path, shape), { a: 1 });
  assert.equal(readConfigFile("SOTTO_KEYS", path), '{"a":1}');
  const refused = (run: () => unknown, code: string): void =>
    assert.throws(run, (error) => {
      assert.ok(error instanceof ConfigError);
      assert.deepEqual([error.code, error.variables], [code, ["SOTTO_KEYS"]]);
      return !error.message.includes("canary");
    });
  refused(() => readConfigFile("SOTTO_KEYS", join(folder, "absent")), "unreadable");
  refused(() => readConfigJson("SOTTO_KEYS", folder, shape), "unreadable");
  for (const text of ["", "{", '{"a":"canary"}', '{"a":1,"canary":1}', "canary"]) {
    writeFileSync(path, text);
    refused(() => readConfigJson("SOTTO_KEYS", path, shape), "malformed");
  }
});
