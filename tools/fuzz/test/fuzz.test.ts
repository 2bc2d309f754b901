import assert from "node:assert/strict";
import { test } from "node:test";
import { attackNode } from "../../../protocol/tls/test/attacked-node.ts";
import { attackSotto } from "../../../protocol/tls/test/attacked-sotto.ts";
import { runCampaign } from "../src/campaign.ts";
import { Dice } from "../src/dice.ts";
import { type Contestant, createCase, describeCase, runCase } from "../src/handshake-case.ts";
import { renderCampaign } from "../src/report.ts";

const contestants = { sotto: attackSotto, openssl: attackNode };

test("five hundred servers made by chance: ours takes none that OpenSSL refuses", async () => {
  const campaign = await runCampaign({ seed: 40, from: 0, to: 500 }, contestants);
  assert.deepEqual(campaign.failures, [], renderCampaign(campaign));
  assert.equal(campaign.cases, 500);
  assert.equal(campaign.both + campaign.neither + campaign.stricter, 500);
  // Chance must make servers of both kinds, or nothing is compared.
  assert.ok(campaign.both >= 50, `${campaign.both} taken`);
  assert.ok(campaign.neither >= 200, `${campaign.neither} refused`);
  assert.ok(Object.keys(campaign.codes.sotto).length >= 12, "refused for many reasons");
});

test("a case is the same each time, and another case is another", () => {
  const words = (seed: number, index: number) => describeCase(createCase(seed, index)).join("\n");
  const all = new Set<string>();
  for (let index = 0; index < 200; index += 1) {
    assert.equal(words(7, index), words(7, index));
    all.add(words(7, index));
  }
  assert.ok(all.size > 180);
  assert.notEqual(words(7, 3), words(8, 3));
});

test("dice stay within what is asked, and fall on every side", () => {
  const dice = new Dice(1, 1);
  const seen = new Set(Array.from({ length: 1000 }, () => dice.below(10)));
  assert.deepEqual(
    [...seen].sort(),
    Array.from({ length: 10 }, (_, side) => side),
  );
  assert.deepEqual(new Dice(5, 6).bytes(20), new Dice(5, 6).bytes(20));
});

test("a client that takes too much, hands on too much, breaks or says nonsense is found, and the case made small", async () => {
  const planted: readonly (readonly [what: RegExp, client: Contestant])[] = [
    [
      /takes a stream/,
      async (script, attack) => ({
        ...(await attackNode(script, attack)),
        code: undefined,
        isSecured: false,
      }),
    ],
    [
      /takes a handshake/,
      async (script, attack) => ({ ...(await attackNode(script, attack)), isSecured: true }),
    ],
    [
      /hands on data/,
      async (script, attack) => ({
        ...(await attackNode(script, attack)),
        data: Uint8Array.of(1, 2, 3, 4, 5),
      }),
    ],
    [/RangeError/, () => Promise.reject(new RangeError("no such index"))],
  ];
  for (const [what, sotto] of planted) {
    const { failures } = await runCampaign({ seed: 3, from: 0, to: 40 }, { ...contestants, sotto });
    const found = failures.find((failure) => what.test(failure.what));
    assert.ok(found !== undefined, String(what));
    assert.ok(found.words.length <= 3, "one mutation, or two that need each other");
    const { failure } = await runCase(createCase(3, found.index), { ...contestants, sotto });
    assert.equal(failure, found.what, "found again by its number");
  }
});
