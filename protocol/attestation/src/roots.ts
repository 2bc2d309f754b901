// Whom hardware evidence may lead to. AMD's roots and simulated ones are different types, made in different
// places; nothing turns one into the other.
import { encodeHex, sha256 } from "@sotto/base";
import { AttestationError } from "./attestation-error.ts";
import type { Generation } from "./snp/layout.ts";

const key: unique symbol = Symbol("roots");

// Private members make the two classes strangers to each other, for the compiler and at run time; the key
// keeps others from making one through `constructor`.
class PinnedRoots {
  readonly #generations: ReadonlyMap<string, Generation>;

  constructor(proof: typeof key, generations: ReadonlyMap<string, Generation>) {
    if (proof !== key) throw new TypeError("AMD's roots are the ones pinned here");
    this.#generations = generations;
  }

  static generations(roots: object): ReadonlyMap<string, Generation> | undefined {
    return #generations in roots ? roots.#generations : undefined;
  }
}

class InstallationRoots {
  readonly #generations: ReadonlyMap<string, Generation>;

  constructor(proof: typeof key, generations: ReadonlyMap<string, Generation>) {
    if (proof !== key) throw new TypeError("simulated roots are made from their certificate");
    this.#generations = generations;
  }

  static generations(roots: object): ReadonlyMap<string, Generation> | undefined {
    return #generations in roots ? roots.#generations : undefined;
  }
}

/** AMD's root keys, pinned by the SHA-256 of their certificates. */
export type AmdRoots = PinnedRoots;

/** The root of one simulated installation. */
export type SimulatedRoots = InstallationRoots;

/** ARK-Milan, ARK-Genoa and ARK-Turin, as AMD publishes them. */
export const amdRoots: AmdRoots = new PinnedRoots(
  key,
  new Map<string, Generation>([
    ["69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd", "milan"],
    ["4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1", "genoa"],
    ["1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a", "turin"],
  ]),
);

/** Serial numbers of authorities that AMD's revocation lists name, by generation (last seen: CRL number 4 of Genoa). */
export const revokedAuthorities: Readonly<Record<Generation, readonly string[]>> = {
  milan: [],
  genoa: ["020001"],
  turin: [],
};

/** Accepts one simulated root, never one of AMD's; exported to the software TEE's entry alone. */
export function createSimulatedRoots(ark: Uint8Array): SimulatedRoots {
  const fingerprint = encodeHex(sha256(ark));
  if (PinnedRoots.generations(amdRoots)?.has(fingerprint) !== false)
    throw new AttestationError("untrusted-root", "simulated root: the certificate is AMD's");
  return new InstallationRoots(key, new Map([[fingerprint, "turin"]]));
}

/** Where claims that lead to these roots come from; decided by the class, not by a name in a policy. */
export function rootOrigin(roots: AmdRoots | SimulatedRoots): "amd" | "simulated" {
  if (PinnedRoots.generations(roots) !== undefined) return "amd";
  if (InstallationRoots.generations(roots) !== undefined) return "simulated";
  throw new TypeError("roots of no known kind");
}

/** The generation whose root has this SHA-256; throws `untrusted-root`. */
export function requireRoot(roots: AmdRoots | SimulatedRoots, fingerprint: string): Generation {
  const genuine = rootOrigin(roots) === "amd";
  const generations = PinnedRoots.generations(roots) ?? InstallationRoots.generations(roots);
  const generation = generations?.get(fingerprint);
  if (generation === undefined) {
    const whose = genuine ? "AMD's" : "that of the simulated installation";
    throw new AttestationError("untrusted-root", `the root of the hardware's certificates is not ${whose}`);
  }
  return generation;
}
