// What the browser tests stand on: a browser with its rules on, and no silence where there is none.
import assert from "node:assert/strict";
import { test } from "node:test";
import { launchChromium, openPage } from "./chromium.ts";

test("without a browser tests are skipped, and in CI they fail", async () => {
  const { CI } = process.env;
  try {
    process.env.CI = "";
    assert.equal(await launchChromium("/nowhere/chromium"), undefined);
    process.env.CI = "true";
    await assert.rejects(launchChromium("/nowhere/chromium"));
  } finally {
    if (CI === undefined) delete process.env.CI;
    else process.env.CI = CI;
  }
});

test("the rules that protect pages are on: no eval, no other origin that doesn't want it, no other address", async (context) => {
  const browser = await launchChromium();
  if (browser === undefined) {
    context.skip("no browser can be started here");
    return;
  }
  const scripts = { "/page.js": "tests/browser/page.browser.ts" };
  const other = await openPage(browser, { scripts, connect: ["'none'"] });
  const { page, complaints, close } = await openPage(browser, {
    scripts,
    connect: [new URL(other.page.url()).origin],
  });
  try {
    const tried = await page.evaluate(async (url) => {
      const attempt = (work: () => unknown) =>
        Promise.resolve()
          .then(work)
          .then(
            () => "done",
            (error) => error.name,
          );
      return {
        // Not in the turn of the test's own code, which the rule does not hold for.
        eval: await new Promise((resolve) => setTimeout(() => resolve(attempt(() => new Function("")())))),
        silentOrigin: await attempt(() => fetch(url)),
        unlistedAddress: await attempt(() => fetch("http://127.0.0.1:9/")),
      };
    }, other.page.url());
    assert.deepEqual(tried, { eval: "EvalError", silentOrigin: "TypeError", unlistedAddress: "TypeError" });
    assert.match(complaints.join("\n"), /blocked by CORS policy/);
    assert.match(complaints.join("\n"), /policy: script-src eval/);
  } finally {
    await close();
    await other.close();
    await browser.close();
  }
});
