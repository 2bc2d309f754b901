// What the guard says about a text.

/** The hazards of the policy, after MLCommons' AILuminate taxonomy. */
export const hazardIds = [
  "violent-crimes",
  "nonviolent-crimes",
  "sex-crimes",
  "child-exploitation",
  "indiscriminate-weapons",
  "self-harm",
  "intellectual-property",
  "defamation",
  "hate",
  "privacy",
  "specialized-advice",
  "sexual-content",
] as const;

export type HazardId = (typeof hazardIds)[number];

/** A refusal, with the layer that asked for it; `score` lies between 0 and 1, and rules are always sure. */
export type Refusal = {
  readonly decision: "refuse";
  readonly hazard: HazardId;
  readonly layer: "rules" | "classifier";
  readonly score: number;
};

export type Verdict = { readonly decision: "allow" } | Refusal;

/** One turn of a conversation, as far as the guard needs it. */
export type GuardMessage = {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
};
