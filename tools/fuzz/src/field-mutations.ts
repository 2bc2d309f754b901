// Changes to what messages say while they stay well-formed: extensions, and the fields of each message.
import { sign } from "node:crypto";
import { ByteReader, type Bytes, concatBytes, copyBytes } from "@sotto/base";
import { replace } from "../../../protocol/tls/test/attacks/steps.ts";
import { createIdentity } from "../../../protocol/tls/test/hostile-identity.ts";
import {
  certificates,
  certificateVerify,
  type Extension,
  encryptedExtensions,
  extensionTypes,
  finished,
  keyShare,
  protocols,
  retryRandom,
  type ServerHello,
  schemes,
  sentinels,
  serverHello,
  signedContent,
} from "../../../protocol/tls/test/hostile-messages.ts";
import type { Dice } from "./dice.ts";
import type { Mutation } from "./mutation.ts";

const types = [
  ...Object.values(extensionTypes),
  1,
  15,
  16,
  19,
  20,
  22,
  23,
  27,
  35,
  50,
  57,
  0xfafa,
  0xfe0d,
  0x0a0a,
];
const datas = [
  "",
  "00",
  "0000",
  "0001",
  "0304",
  "0303",
  "001d",
  "11ec",
  "0002001d",
  "0009000807736f74746f2f31",
];

/** How a list of extensions changes. */
type Change = {
  readonly words: string;
  readonly apply: (list: readonly Extension[]) => readonly Extension[];
};

function changeList(dice: Dice): Change {
  const type = dice.pick(types);
  const data = dice.chance(70) ? Uint8Array.fromHex(dice.pick(datas)) : dice.bytes(dice.below(40));
  const place = dice.below(3);
  const shown = `${type} ${data.toHex()}`;
  switch (
    dice.pick(["adds", "adds", "adds first", "drops", "repeats", "reverses", "retypes", "fills"] as const)
  ) {
    case "adds":
      return { words: `adds ${shown}`, apply: (list) => [...list, [type, data]] };
    case "adds first":
      return { words: `adds ${shown} first`, apply: (list) => [[type, data], ...list] };
    case "drops":
      return {
        words: `drops ${place}`,
        apply: (list) => list.filter((_extension, index) => index !== place),
      };
    case "repeats":
      return { words: `repeats ${place}`, apply: (list) => [...list, ...list.slice(place, place + 1)] };
    case "reverses":
      return { words: "reversed", apply: (list) => list.toReversed() };
    case "retypes":
      return {
        words: `makes ${place} a ${type}`,
        apply: (list) => list.map((it, index) => (index === place ? [type, it[1]] : it)),
      };
    case "fills":
      return {
        words: `fills ${place} with ${data.toHex()}`,
        apply: (list) => list.map((it, index) => (index === place ? [it[0], data] : it)),
      };
  }
}

function extended(dice: Dice): Mutation {
  const { words, apply } = changeList(dice);
  const name = dice.pick(["serverHello", "encryptedExtensions", "certificate"] as const);
  return {
    words: `${name}: ${words}`,
    flight: replace(name, (moment, honest) => {
      if (name === "serverHello")
        return serverHello({ ...moment.hello, extensions: apply(moment.hello.extensions ?? []) });
      if (name === "certificate") return certificates([{ ...moment.identity, extensions: apply([]) }]);
      return encryptedExtensions(apply(readExtensions(honest)));
    }),
  };
}

/** Extensions of an EncryptedExtensions, as far as they can be read. */
function readExtensions(message: Bytes): Extension[] {
  const list: Extension[] = [];
  try {
    const reader = new ByteReader(message);
    reader.bytes(4 + 2);
    while (reader.remaining > 0) list.push([reader.u16(), reader.vector(2, 0xffff)]);
  } catch {
    // Another mutation was here before.
  }
  return list;
}

function helloField(dice: Dice): Mutation {
  const bytes = dice.bytes(32);
  const version = dice.pick([0x0301, 0x0302, 0x0304, 0x0300, 0xfefd]);
  const suite = dice.pick([0x1300, 0x1301, 0x1302, 0x1303, 0x1304, 0xc02b, 0x00ff, 0]);
  const compression = 1 + dice.below(255);
  const [words, change] = dice.pick<readonly [string, (hello: ServerHello) => Partial<ServerHello>]>([
    [`version ${version}`, () => ({ version })],
    [`suite ${suite}`, () => ({ suite })],
    [`compression ${compression}`, () => ({ compression })],
    [`session id ${bytes.toHex()}`, () => ({ sessionId: bytes })],
    ["session id added to", ({ sessionId }) => ({ sessionId: concatBytes(sessionId, bytes.slice(0, 1)) })],
    ["retry", () => ({ random: retryRandom })],
    ["sentinel of 1.2", () => ({ random: concatBytes(bytes.slice(8), sentinels.tls12) })],
    ["sentinel of 1.1", () => ({ random: concatBytes(bytes.slice(8), sentinels.tls11) })],
    [`random ${bytes.toHex()}`, () => ({ random: bytes })],
    ["no list of extensions", () => ({ extensions: undefined })],
    ["no extensions", () => ({ extensions: [] })],
  ]);
  return {
    words: `serverHello: ${words}`,
    flight: replace("serverHello", ({ hello }) => serverHello({ ...hello, ...change(hello) })),
  };
}

function share(dice: Dice): Mutation {
  const group = dice.pick([0x1d, 0x11ec, 0x17, 0x18, 0x1e, 0x11eb, 0x6399, 0, 0xffff]);
  const kind = dice.pick(["own", "zeros", "random", "none", "short", "long", "client's"] as const);
  const size = dice.pick([32, 65, 1088, 1120, 1184, 1216, 1]);
  const random = dice.bytes(size);
  return {
    words: `share: group ${group}, ${kind} ${size}`,
    flight: replace("serverHello", ({ hello, agreement, clientHello }) => {
      const own = agreement.share;
      const made = {
        own,
        zeros: new Uint8Array(size),
        random,
        none: new Uint8Array(),
        short: own.slice(0, -1),
        long: concatBytes(own, Uint8Array.of(0)),
        "client's": clientHello.shares.get(agreement.group) ?? own,
      }[kind];
      const extensions = (hello.extensions ?? []).map(
        (it): Extension => (it[0] === extensionTypes.keyShare ? keyShare(group, made) : it),
      );
      return serverHello({ ...hello, extensions });
    }),
  };
}

const other = createIdentity();

function proof(dice: Dice): Mutation {
  const scheme = dice.pick([...Object.values(schemes), 0x0203, 0x0401, 0x0503, 0x0603, 0x0804, 0x081a, 0]);
  const kind = dice.pick(["honest", "client", "empty", "other key", "garbage", "other hash"] as const);
  const garbage = dice.bytes(dice.below(80));
  return {
    words: `proof: scheme ${scheme}, ${kind} ${kind === "garbage" ? garbage.toHex() : ""}`,
    flight: replace("certificateVerify", ({ transcript, identity }, honest) => {
      const sealed = (side: "server" | "client", key = identity.key, hash = "sha256"): Bytes =>
        copyBytes(sign(hash, signedContent(side, transcript), key));
      const signature = {
        honest: () => honest.slice(8),
        client: () => sealed("client"),
        empty: () => new Uint8Array(),
        "other key": () => sealed("server", other.key),
        garbage: () => garbage,
        "other hash": () => sealed("server", identity.key, "sha384"),
      }[kind]();
      return certificateVerify(scheme, signature);
    }),
  };
}

function chain(dice: Dice): Mutation {
  const count = dice.pick([0, 2, 3, 10]);
  const context = dice.bytes(dice.below(3));
  return {
    words: `certificate: ${count} of them, context ${context.toHex()}`,
    flight: replace("certificate", ({ identity }) =>
      certificates([identity, ...Array.from({ length: 9 }, () => other)].slice(0, count), context),
    ),
  };
}

function protocol(dice: Dice): Mutation {
  const names = dice.pick([
    ["h2"],
    ["sotto/1", "sotto/1"],
    [""],
    [],
    ["sotto/2"],
    ["SOTTO/1"],
    ["sotto/1\0"],
    ["x".repeat(255)],
  ]);
  return {
    words: `protocols: ${JSON.stringify(names)}`,
    flight: replace("encryptedExtensions", () => encryptedExtensions([protocols(...names)])),
  };
}

function mac(dice: Dice): Mutation {
  const length = dice.pick([0, 12, 31, 32, 33, 48]);
  const isOfTranscript = dice.chance(50);
  return {
    words: `finished: ${length} bytes of ${isOfTranscript ? "the transcript" : "the mac"}`,
    flight: replace("finished", (moment) =>
      finished(
        concatBytes(isOfTranscript ? moment.transcript : moment.mac, new Uint8Array(48)).slice(0, length),
      ),
    ),
  };
}

export const fieldMutations: readonly ((dice: Dice) => Mutation)[] = [
  extended,
  extended,
  extended,
  helloField,
  share,
  proof,
  chain,
  protocol,
  mac,
];
