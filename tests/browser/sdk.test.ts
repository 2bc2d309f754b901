// The SDK in a real Chromium, against a whole stack: evidence judged in the tab, a question asked, an answer streamed;
// and what is refused there, with nothing sent.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Verification } from "@sotto/sdk";
import { openModelServer } from "../canary/model-server.ts";
import { type Stack, sotto, startStack } from "../e2e/stack.ts";
import { launchChromium } from "./chromium.ts";
import { perform, type Task } from "./task.browser.ts";
import { type Settings, visit } from "./visit.ts";

const words = "You should see these words one after the other , as they are said .".split(" ");
const model = await openModelServer((asked) => ({
  pieces: words.map((word) => `${word} `),
  pauseMs: asked.includes("slowly") ? 900 : 60,
}));
const browser = await launchChromium();
const skip = browser === undefined && "no browser can be started here";
const opening = ["GET /directory", "POST /tokens", "POST /relay", "POST /relay"];
const question = "What do you see?";

let stack: Stack;
let settings: Settings & { readonly trust: { readonly platform: object } };

before(async () => {
  if (browser === undefined) return;
  stack = await startStack({ args: ["--model", model.url] });
  settings = JSON.parse(readFileSync(join(stack.folder, "client.json"), "utf8"));
});
after(async () => {
  await browser?.close();
  await stack?.stop();
  model.close();
});

test("in a tab the evidence is judged as in Node: the same checks with the same outcomes", {
  skip,
}, async () => {
  const command = await sotto(stack, ["verify", "--json"]);
  const node: Verification = JSON.parse(command.stdout);
  const outcomes = ({ checks }: Verification) => checks.map(({ id, status }) => `${id} ${status}`);
  await visit(browser, { settings }, async ({ tab, shown, sent }) => {
    const { verification } = await tab({});
    assert.equal(verification?.overall, "simulated");
    assert.deepEqual(outcomes(verification), outcomes(node));
    for (const id of ["snp.chain", "snp.signature", "binding.report-data", "release.logged"]) {
      for (const prefix of ["", "peers.0."]) {
        assert.ok(outcomes(verification).includes(`${prefix}${id} pass`), prefix + id);
      }
    }
    assert.deepEqual(verification.node, node.node);
    assert.notEqual(verification.session?.nonce, node.session?.nonce);
    assert.deepEqual(sent, opening);
    assert.match(await shown("verdict"), /SIMULATED/);
    assert.match(await shown("checks"), /pass binding\.report-data/);
  });
});

test("a question from a tab is answered in pieces, under the verdict", { skip }, async () => {
  await visit(browser, { settings }, async ({ tab, shown, sent }) => {
    const asked = model.asked();
    const { answer, error } = await tab({ question });
    assert.equal(error, undefined);
    assert.deepEqual([answer?.status, answer?.overall], [200, "simulated"]);
    assert.equal(answer?.text, `${words.join(" ")} `);
    assert.ok(answer.pieces > 2, "the answer came in pieces");
    assert.equal(await shown("answer"), answer.text);
    assert.equal(model.asked(), asked + 1);
    // To the relay and the issuer only: the name that an app asks for is none that anything is sent to.
    assert.deepEqual(sent, [...opening, "POST /relay"]);
  });
});

test("in the middle of a long answer the service attests anew, in a tab and in Node", { skip }, async () => {
  // Later than a node may be asked again, and by the clock longer than a client goes without.
  const jump = { afterMs: 10_000, byMs: 6 * 60_000 };
  const long = { question: "What do you see? Say it slowly.", jump };
  const expected = [...opening, "POST /relay", "POST /relay"];
  const inTab = visit(browser, { settings }, async ({ tab, sent }) => {
    const { answer, error } = await tab(long);
    assert.equal(error, undefined);
    assert.equal(answer?.text, `${words.join(" ")} `);
    assert.deepEqual(sent, expected);
  });
  const sent: string[] = [];
  const counted: typeof fetch = (input, init) => {
    sent.push(`${init?.method ?? "GET"} ${new URL(String(input)).pathname}`);
    return fetch(input, init);
  };
  const task: Task = { settings: JSON.stringify(settings), policy: "development", ...long };
  const [{ answer, error }] = await Promise.all([perform(task, { fetch: counted }), inTab]);
  assert.equal(error, undefined);
  assert.equal(answer?.text, `${words.join(" ")} `);
  assert.deepEqual(sent, expected);
});

test("a worker, which has no document, does the same", { skip }, async () => {
  await visit(browser, { settings }, async ({ worker }) => {
    const { verification } = await worker({});
    assert.equal(verification?.overall, "simulated");
    const { answer } = await worker({ question });
    assert.equal(answer?.text, `${words.join(" ")} `);
    assert.ok(answer.pieces > 2, "the answer came in pieces");
  });
});

test("what a policy does not accept is refused in the tab, and the question is not sent", {
  skip,
}, async () => {
  const { trust } = settings;
  const chips = ["00".repeat(64)];
  const cases: [Partial<Task>, object, string][] = [
    [{ policy: "production" }, trust, "snp.chain"],
    [{}, { ...trust, minimumSecurityVersion: 99 }, "release.security-version"],
    [{}, { ...trust, platform: { ...trust.platform, chips } }, "snp.chip"],
  ];
  const asked = model.asked();
  for (const [task, changed, failing] of cases) {
    await visit(browser, { settings: { ...settings, trust: changed } }, async ({ tab, shown, sent }) => {
      const { answer, error } = await tab({ ...task, question });
      assert.equal(answer, undefined);
      assert.deepEqual([error?.code, error?.advice], ["verification-failed", "stop"], failing);
      assert.match(await shown("verdict"), /^verification-failed/);
      assert.deepEqual(sent, opening, "no exchange after the evidence");
      const { verification } = await tab(task);
      assert.equal(verification?.overall, "refused");
      const failed = verification.checks.filter(({ status }) => status === "fail").map(({ id }) => id);
      assert.ok(failed.includes(failing), `${failing}: ${failed}`);
    });
  }
  assert.equal(model.asked(), asked);
});

test("a directory that another key signed is refused before anything else is asked", { skip }, async () => {
  const [stranger] = JSON.parse(readFileSync(join(stack.folder, "logs.json"), "utf8"));
  await visit(browser, { settings: { ...settings, directoryKey: stranger } }, async ({ tab, sent }) => {
    const { error } = await tab({ question });
    assert.deepEqual([error?.code, error?.advice], ["directory-refused", "stop"]);
    assert.deepEqual(sent, ["GET /directory"]);
  });
});

test("a page that its own policy keeps from the relay is told that the relay is out of reach", {
  skip,
}, async () => {
  const options = {
    settings: { ...settings, relay: "http://127.0.0.1:9/" },
    connect: settings,
    expected: /violates the (following|document's) Content Security Policy|policy: connect-src/,
  };
  await visit(browser, options, async ({ tab, sent, complaints }) => {
    const { error } = await tab({ question });
    assert.deepEqual([error?.code, error?.advice], ["relay-unreachable", "retry"]);
    assert.ok(complaints.length > 0);
    assert.deepEqual(sent, []);
  });
});
