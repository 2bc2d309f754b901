// Who may import whom, and why. The table is the rule; `imports.test.ts` enforces it.

export type Rule = { readonly may: readonly string[]; readonly because: string };

const protocol = ["base", "wire", "log", "credentials", "attestation", "ratls", "chat", "exchange"] as const;

/** Folder name to the folders of this repository that it may import. */
export const rules: Readonly<Record<string, Rule>> = {
  base: { may: [], because: "it is the floor" },
  wire: { may: ["base"], because: "codecs know nothing of money or trust" },
  log: { may: ["base"], because: "codecs know nothing of money or trust" },
  credentials: { may: ["base"], because: "codecs know nothing of money or trust" },
  chat: { may: ["base"], because: "what a question looks like depends on nothing else" },
  guard: { may: ["base"], because: "what must be refused depends on nothing but the text" },
  attestation: { may: ["base", "log"], because: "trust does not depend on transport" },
  tls: { may: ["base"], because: "TLS knows nothing of evidence" },
  ratls: { may: ["base", "attestation", "tls"], because: "a session knows evidence, not what travels in it" },
  exchange: { may: ["base", "wire", "ratls"], because: "it only puts HTTP into a session" },
  sdk: { may: protocol, because: "clients never import what operators run" },
  proxy: { may: ["base", "sdk"], because: "there is one verifier, the SDK's" },
  cli: { may: ["base", "sdk", "proxy", "guard"], because: "there is one verifier, the SDK's" },
  kit: { may: ["base"], because: "the process shell knows no protocol" },
  relay: { may: ["base", "kit"], because: "the relay must be unable to read what it forwards" },
  gateway: {
    may: ["base", "kit", "wire", "credentials"],
    because: "the gateway sees ciphertext and tokens only",
  },
  issuer: { may: ["base", "kit", "credentials"], because: "the issuer must not see requests" },
  attester: {
    may: ["base", "kit", "log", "attestation"],
    because: "it turns sessions into evidence and reads neither",
  },
  sealed: {
    may: ["base", "attestation"],
    because: "it starts processes and carries their ciphertext, whatever that is",
  },
  orchestrator: {
    may: ["base", "kit", "attester", "sealed", "attestation", "ratls", "wire", "chat", "guard", "exchange"],
    because: "who holds text must not learn who paid",
  },
  predictor: {
    may: ["base", "kit", "attester", "sealed", "attestation", "ratls", "chat", "exchange"],
    because: "who holds text must not learn who paid",
  },
  publisher: { may: ["base", "kit", "log"], because: "the log is public and knows no users" },
  witness: { may: ["base", "kit", "log"], because: "a stranger runs it and should read little" },
};

/** Third-party packages per folder, each with its reason. */
export const thirdParty: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  base: { "@noble/hashes": "SHA-2 that is synchronous in browsers" },
  wire: { hpke: "HPKE, reviewed, the same in Node and browsers" },
  tls: {
    "@noble/post-quantum": "ML-KEM where WebCrypto lacks it",
    "@noble/hashes": "HMAC that is synchronous in browsers",
  },
  attestation: { zod: "trust settings" },
  attester: { zod: "the release file" },
  proxy: { "@hono/node-server": "HTTP", hono: "what @hono/node-server stands on" },
  cli: { commander: "arguments and help" },
  kit: { zod: "configuration", "@hono/node-server": "HTTP", hono: "HTTP" },
  relay: { zod: "configuration" },
  gateway: { zod: "configuration" },
  issuer: { zod: "configuration" },
  publisher: { zod: "configuration" },
  witness: { zod: "configuration" },
  orchestrator: { zod: "configuration" },
  predictor: {
    zod: "configuration",
    "node-llama-cpp": "the embedded engine",
    "@huggingface/jinja": "the template of a guard model, which the engine's own wrapper cuts short",
  },
};
