// Five hundred sessions at once, over the emulated device with its limit of ten reports in ten seconds.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  boundParts,
  type EvidenceBundle,
  parseSnpReport,
  type SessionBinding,
  sandboxLayers,
  sessionLeaf,
  verifyBinding,
  verifyNode,
} from "@sotto/attestation";
import { createReportSigner } from "@sotto/attestation/software";
import { createAttester } from "@sotto/attester";
import { decodeUtf8 } from "@sotto/base";
import { serializeStatement } from "@sotto/log";
import { openReportDevice } from "@sotto/tee";
import {
  bindingOf,
  chip,
  measurement,
  nowMs,
  policy,
  prove,
  releaseOf,
} from "../../../protocol/attestation/test/stage.ts";
import { folder, writeRelease } from "./stage.ts";

const sessions = 500;
const maxReports = 12;

test("500 sessions at once are all attested with at most 12 reports, each about itself and no other", async () => {
  const root = join(folder, "five-hundred");
  mkdirSync(root);
  const statement = serializeStatement(releaseOf("orchestrator"));
  writeRelease(join(root, "release.json"), statement, decodeUtf8(await prove(statement)));
  const signer = await createReportSigner(chip, measurement);
  const device = openReportDevice({ folder: join(root, "tsm"), certificates: chip.certificates, signer });
  const attester = createAttester({
    ...{ tsmRoot: join(root, "tsm"), release: join(root, "release.json") },
    ...{ role: "orchestrator", clock: Date.now },
  });
  try {
    const bindings = Array.from({ length: sessions }, () => bindingOf("orchestrator"));
    const bundles = await Promise.all(
      bindings.map((binding) => attester.attest(binding, { layers: sandboxLayers })),
    );
    assert.ok(device.reportsMade() <= maxReports, `${device.reportsMade()} reports`);
    const reports = new Set(bundles.map(({ snp }) => snp.report.toHex()));
    assert.equal(reports.size, device.reportsMade(), "every report is somebody's");
    const pairs = bundles.map((bundle, index) => ({
      bundle,
      binding: bindings[index] ?? bindingOf("guard"),
    }));
    for (const [index, { bundle, binding }] of pairs.entries()) {
      const leaf = sessionLeaf(binding, boundParts(bundle));
      const { reportData } = parseSnpReport(bundle.snp.report);
      verifyBinding(leaf, bundle.batch, reportData);
      for (const step of [1, 7, 250]) {
        const other = bundles[(index + step) % sessions];
        assert.ok(other);
        assert.throws(() => verifyBinding(leaf, other.batch, reportData), { code: "binding-mismatch" });
        const { snp, batch } = other;
        assert.throws(() => verifyBinding(leaf, batch, parseSnpReport(snp.report).reportData), {
          code: "binding-mismatch",
        });
      }
    }
    const verify = (bundle: EvidenceBundle, binding: SessionBinding): ReturnType<typeof verifyNode> =>
      verifyNode({ bundle, binding, policy, nowMs });
    await Promise.all(
      pairs.map(async ({ bundle, binding }, index) => {
        assert.equal((await verify(bundle, binding)).role, "orchestrator");
        const other = bundles[(index + 1) % sessions];
        assert.ok(other);
        const swapped = { ...bundle, batch: other.batch };
        await assert.rejects(verify(swapped, binding), { code: "binding-mismatch" });
        await assert.rejects(verify(other, binding), { code: "binding-mismatch" });
      }),
    );
  } finally {
    await attester.close();
    device.close();
  }
});
