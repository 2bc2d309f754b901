// A visit of one page by a test: what it does, what leaves it, and that nothing in it broke its policy on the way.
import assert from "node:assert/strict";
import type { Browser } from "playwright-core";
import { openPage } from "./chromium.ts";
import type { Outcome, Task } from "./task.browser.ts";

/** Settings of a client: where they send it, and what is the page's to read. */
export type Settings = { readonly relay: string; readonly issuer: string; readonly [name: string]: unknown };

export type Visit = {
  readonly tab: (task: Partial<Task>) => Promise<Outcome>;
  readonly worker: (task: Partial<Task>) => Promise<Outcome>;
  /** Text of an element. */
  readonly shown: (id: "verdict" | "answer" | "checks") => Promise<string>;
  /** Method and path of what left the tab, without what a browser asks first. */
  readonly sent: string[];
  /** What the browser complained about. */
  readonly complaints: string[];
};

export type VisitOptions = {
  readonly settings: Settings;
  /** Where the page may connect to, when that is not where its settings send it. */
  readonly connect?: Settings;
  /** Complaints of the browser that belong to the test. */
  readonly expected?: RegExp;
};

/** Opens a page, lets a test work with it, and closes it; fails when the browser complained about anything else. */
export async function visit(
  browser: Browser | undefined,
  { settings, connect = settings, expected }: VisitOptions,
  work: (visit: Visit) => Promise<void>,
): Promise<void> {
  assert.ok(browser !== undefined, "a test without a browser is skipped");
  const { page, complaints, close } = await openPage(browser, {
    scripts: {
      "/page.js": "tests/browser/page.browser.ts",
      "/worker.js": "tests/browser/worker.browser.ts",
    },
    connect: [connect.relay, connect.issuer].map((url) => new URL(url).origin),
    body: '<h1>Sotto</h1><p id="verdict"></p><p id="answer"></p><ol id="checks"></ol>',
  });
  const sent: string[] = [];
  page.on("request", (request) => {
    if (request.resourceType() === "fetch")
      sent.push(`${request.method()} ${new URL(request.url()).pathname}`);
  });
  const whole = (task: Partial<Task>): Task => ({
    settings: JSON.stringify(settings),
    policy: "development",
    ...task,
  });
  try {
    await work({
      tab: (task) => page.evaluate((given) => performInTab(given), whole(task)),
      worker: (task) => page.evaluate((given) => performInWorker(given), whole(task)),
      shown: async (id) => (await page.textContent(`#${id}`)) ?? "",
      sent,
      complaints,
    });
    assert.deepEqual(
      complaints.filter((text) => expected?.test(text) !== true),
      [],
    );
  } finally {
    await close();
  }
}
