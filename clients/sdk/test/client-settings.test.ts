import assert from "node:assert/strict";
import { test } from "node:test";
import { serializeVerifier } from "@sotto/log";
import { parseClientSettings } from "@sotto/sdk";
import { developmentPolicy } from "@sotto/sdk/development";
import { authority, trust } from "./deployment.ts";

const settings = {
  relay: "https://relay.example/",
  issuer: "http://127.0.0.1:8080",
  account: { secret: "0123456789abcdef" },
  directoryKey: serializeVerifier(authority),
  trust,
};

test("settings in their form are read whole", () => {
  const { productionPolicy, ...read } = parseClientSettings(JSON.stringify(settings));
  assert.deepEqual(read, settings);
  assert.equal(productionPolicy.profile, "production");
  assert.equal(developmentPolicy({ ...read, productionPolicy }).profile, "development");
});

test("whatever does not fit is refused with one code, and is not repeated", () => {
  const canary = "canary-value-0815";
  const bent: unknown[] = [
    null,
    [],
    canary,
    { ...settings, extra: canary },
    { ...settings, relay: canary },
    { ...settings, relay: `javascript:${canary}` },
    { ...settings, relay: `https://${canary}/${"x".repeat(2048)}` },
    { ...settings, issuer: undefined },
    { ...settings, issuer: 7 },
    { ...settings, account: canary },
    { ...settings, account: {} },
    { ...settings, account: { secret: "short" } },
    { ...settings, account: { secret: "x".repeat(257) } },
    { ...settings, account: { ...settings.account, id: canary } },
    { ...settings, directoryKey: "" },
    { ...settings, directoryKey: "x".repeat(513) },
    { ...settings, trust: null },
    { ...settings, trust: { ...settings.trust, log: canary } },
    { ...settings, trust: { ...trust, platform: { ...trust.platform, minimumTcb: {} } } },
    { ...settings, trust: { ...settings.trust, extra: canary } },
    { ...settings, trust: { ...settings.trust, maxProofAgeMs: 0 } },
    { ...settings, trust: { ...settings.trust, minimumSecurityVersion: 0.5 } },
    { ...settings, trust: { ...settings.trust, simulatedRoot: "not base64!" } },
    {
      ...settings,
      trust: { ...settings.trust, platform: { ...settings.trust.platform, generations: ["rome"] } },
    },
    {
      ...settings,
      trust: { ...settings.trust, platform: { ...settings.trust.platform, chips: ["AB".repeat(64)] } },
    },
  ];
  for (const text of ["", "{", canary, ...bent.map((value) => JSON.stringify(value))]) {
    assert.throws(
      () => parseClientSettings(text),
      (error: unknown) => {
        assert.ok(error instanceof Error && "code" in error, text);
        assert.equal(error.code, "bad-settings", text);
        assert.doesNotMatch(error.message, new RegExp(canary));
        return true;
      },
    );
  }
});
