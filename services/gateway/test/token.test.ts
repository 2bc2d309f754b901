import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { encodeHex, systemRandom } from "@sotto/base";
import { parseAuthorization, serializeAuthorization, serializeToken } from "@sotto/credentials";
import { openSpentTokenStore, SessionTable, type SpentTokenStore } from "@sotto/gateway";
import type { HeaderList } from "@sotto/wire";
import {
  authorized,
  challenge,
  exchange,
  handle,
  innerRequest,
  makeToken,
  openFixture,
  publicKey,
  stream,
} from "./fixture.ts";

const closing: (() => Promise<void>)[] = [];
after(async () => {
  for (const close of closing) await close();
});

async function open(options: Parameters<typeof openFixture>[0] = {}) {
  const fixture = await openFixture(options);
  closing.push(fixture.close);
  return fixture;
}

test("a token is good once", async () => {
  const { gateway, calls, outcomes } = await open();
  const request = authorized(await makeToken());
  assert.equal((await exchange(gateway, request)).status, 200);
  const again = await exchange(gateway, request);
  assert.equal(again.status, 401);
  assert.equal(again.text, '{"type":"about:blank","status":401,"code":"token-spent"}');
  assert.equal(calls.length, 1);
  assert.deepEqual(outcomes, ["redeemed", "token-spent"]);
});

test("of one token spent many times at once, exactly one passes", async () => {
  const { gateway, calls } = await open();
  for (let round = 0; round < 5; round += 1) {
    const request = authorized(await makeToken());
    const answers = await Promise.all(Array.from({ length: 20 }, () => exchange(gateway, request)));
    assert.equal(answers.filter(({ status }) => status === 200).length, 1);
    assert.equal(answers.filter(({ status }) => status === 401).length, 19);
  }
  assert.equal(calls.length, 5);
});

test("of one token spent at two gateways over one store, exactly one passes", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sotto-spent-"));
  const path = join(folder, "spent.sqlite");
  const stores = [await openSpentTokenStore(path), await openSpentTokenStore(path)];
  const fixtures = await Promise.all(stores.map((store) => open({ store })));
  for (let round = 0; round < 5; round += 1) {
    const request = authorized(await makeToken());
    const answers = await Promise.all(
      fixtures.flatMap(({ gateway }) => [exchange(gateway, request), exchange(gateway, request)]),
    );
    assert.equal(answers.filter(({ status }) => status === 200).length, 1);
  }
  rmSync(folder, { recursive: true });
});

test("replaying a whole sealed exchange spends nothing twice", async () => {
  const { gateway, calls } = await open();
  const { bytes, response } = await stream(gateway, authorized(await makeToken()));
  await response.arrayBuffer();
  const replay = await gateway(
    new Request("http://gateway.invalid/gateway", {
      method: "POST",
      headers: { "content-type": "message/ohttp-chunked-req" },
      body: bytes,
    }),
  );
  await replay.arrayBuffer();
  assert.equal(calls.length, 1);
});

test("a token of another challenge, another key, out of its time or changed in any byte opens nothing", async () => {
  const { gateway, calls, outcomes } = await open();
  const token = await makeToken();
  const bytes = serializeToken(token);
  const refused = async (header: string | undefined): Promise<void> => {
    const headers: HeaderList = header === undefined ? [] : [["authorization", header]];
    const answer = await exchange(gateway, innerRequest({ headers }));
    assert.equal(answer.status, 401, header ?? "no header");
  };
  const other = await makeToken({ ...challenge, originInfo: "elsewhere.invalid" });
  await refused(serializeAuthorization(other));
  const named = await makeToken({ ...challenge, issuerName: "other.test" });
  await refused(serializeAuthorization(named));
  await refused(undefined);
  for (const header of [
    "",
    "PrivateToken",
    "PrivateToken token=",
    "Bearer canary",
    'PrivateToken token="AAAA"',
  ])
    await refused(header);
  const header = (changed: Uint8Array): string =>
    `PrivateToken token="${Buffer.from(changed).toString("base64url")}"`;
  for (let index = 0; index < bytes.length; index += 7)
    await refused(header(bytes.map((byte, at) => (at === index ? byte ^ 4 : byte))));
  for (const length of [0, 1, 98, 353]) await refused(header(bytes.slice(0, length)));
  await refused(header(new Uint8Array([...bytes, 0])));
  assert.deepEqual(calls, []);
  assert.deepEqual([...new Set(outcomes)].sort(), ["no-token", "token-refused"]);
  // Nothing of that has spent the token itself.
  assert.deepEqual(parseAuthorization(serializeAuthorization(token)), bytes);
  assert.equal((await exchange(gateway, authorized(token))).status, 200);
});

test("two authorizations are none", async () => {
  const { gateway, calls } = await open();
  const headers = [await makeToken(), await makeToken()].map(
    (token) => ["authorization", serializeAuthorization(token)] as const,
  );
  assert.equal((await exchange(gateway, innerRequest({ headers }))).status, 401);
  assert.deepEqual(calls, []);
});

test("audit 35: an issuer key works within its window and not a second outside", async () => {
  const { gateway, setNow } = await open({ notBefore: 1000, notAfter: 2000 });
  for (const [now, status] of [
    [999, 401],
    [1000, 200],
    [1999, 200],
    [2000, 401],
  ] as const) {
    setNow(now);
    assert.equal((await exchange(gateway, authorized(await makeToken()))).status, status, String(now));
  }
});

test("a store that fails fails closed", async () => {
  const failing: SpentTokenStore = {
    spend: () => Promise.reject(new Error("canary: disk full")),
    keepOnly: () => {},
    close: async () => {},
  };
  const { gateway, calls } = await open({ store: failing });
  const answer = await exchange(gateway, authorized(await makeToken()));
  assert.equal(answer.status, 503);
  assert.ok(!answer.text.includes("canary"));
  assert.deepEqual(calls, []);
});

test("a forged token takes no room in the store", async () => {
  let asked = 0;
  const counting: SpentTokenStore = {
    spend: async () => {
      asked += 1;
      return true;
    },
    keepOnly: () => {},
    close: async () => {},
  };
  const { gateway } = await open({ store: counting });
  const token = await makeToken();
  const forged = { ...token, authenticator: systemRandom(256) };
  for (let count = 0; count < 20; count += 1)
    await exchange(gateway, authorized({ ...forged, nonce: systemRandom(32) }));
  assert.equal(asked, 0);
});

test("spent tokens outlive the process, however it ends, and go with their key", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sotto-spent-"));
  const path = join(folder, "spent.sqlite");
  const keyIds = [systemRandom(32), systemRandom(32)];
  const nonces = Array.from({ length: 20 }, () => systemRandom(32));
  const program = `
    import { openSpentTokenStore } from "@sotto/gateway";
    const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex"));
    const store = await openSpentTokenStore(${JSON.stringify(path)});
    for (const keyId of ${JSON.stringify(keyIds.map(encodeHex))}) {
      for (const nonce of ${JSON.stringify(nonces.map(encodeHex))}) await store.spend(bytes(keyId), bytes(nonce));
    }
    process.kill(process.pid, "SIGKILL");`;
  const { signal } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: import.meta.dirname,
  });
  assert.equal(signal, "SIGKILL");
  const [kept, dropped] = keyIds as [(typeof keyIds)[0], (typeof keyIds)[0]]; // two were made
  const store = await openSpentTokenStore(path);
  for (const nonce of nonces) assert.equal(await store.spend(kept, nonce), false);
  store.keepOnly([kept]);
  for (const nonce of nonces) {
    assert.equal(await store.spend(kept, nonce), false);
    assert.equal(await store.spend(dropped, nonce), true);
  }
  // Many at once share a flush, and each still gets its own answer.
  const more = Array.from({ length: 50 }, () => systemRandom(32));
  const results = await Promise.all([...more, ...more].map((nonce) => store.spend(kept, nonce)));
  assert.equal(results.filter(Boolean).length, 50);
  await store.close();
  await assert.rejects(store.spend(kept, systemRandom(32)));
  rmSync(folder, { recursive: true });
});

test("the store holds digests alone: no nonce, no token, no handle", async () => {
  const { gateway, folder, store } = await open();
  const token = await makeToken();
  await exchange(gateway, authorized(token));
  const stored = ["spent.sqlite", "spent.sqlite-wal"].map((name) => readFileSync(join(folder, name)));
  assert.equal(await store.spend(publicKey.keyId, token.nonce), false);
  for (const secret of [
    token.nonce,
    token.authenticator,
    token.authenticator.slice(0, 16),
    Buffer.from(handle),
    Buffer.from("flight"),
  ]) {
    for (const file of stored) assert.equal(file.indexOf(secret), -1);
  }
});

test("the table of sessions is bounded, forgets the oldest first, and keeps nodes apart", () => {
  let now = 0;
  const table = new SessionTable(() => now, 3);
  for (const name of ["a", "b", "c", "d"]) table.add("alpha", name);
  assert.deepEqual(
    ["a", "b", "c", "d"].map((name) => table.has("alpha", name)),
    [false, true, true, true],
  );
  assert.equal(table.has("beta", "d"), false);
  table.add("alpha", "b"); // again: now the youngest
  table.add("beta", "e");
  assert.deepEqual(
    ["b", "c", "d"].map((name) => table.has("alpha", name)),
    [true, false, true],
  );
  now = 15 * 60_000;
  table.add("beta", "f");
  assert.equal(table.size, 1);
});
