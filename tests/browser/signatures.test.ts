// Platforms judge the edges of Ed25519 differently; the log's code must not.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readJsonVector, vectorsMissing } from "../vectors.ts";
import { launchChromium, openPage } from "./chromium.ts";
import { judgeSignature, type SignatureCase } from "./signatures.browser.ts";

test("a tab accepts exactly the signatures that Node accepts", { skip: vectorsMissing }, async (context) => {
  const browser = await launchChromium();
  if (browser === undefined) {
    context.skip("no browser can be started here");
    return;
  }
  const cases = readJsonVector<SignatureCase[]>("tlog", "cctv-ed25519", "ed25519vectors.json");
  const { page, complaints, close } = await openPage(browser, {
    scripts: { "/page.js": "tests/browser/signatures.browser.ts" },
    connect: ["'none'"],
  });
  try {
    const inTab = await page.evaluate((given) => judgeSignatures(given), cases);
    const inNode = await Promise.all(cases.map(judgeSignature));
    const apart = cases.filter((_case, index) => inTab[index] !== inNode[index]);
    assert.deepEqual(apart, []);
    assert.ok(inNode.includes(true) && inNode.includes(false));
    assert.deepEqual(complaints, []);
  } finally {
    await close();
    await browser.close();
  }
});
