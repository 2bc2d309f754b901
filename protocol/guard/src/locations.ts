// Where the guard's own files lie; nothing here reads them, callers do.

/** The policy that Sotto ships. */
export const policyUrl: URL = new URL("../policy/policy.json", import.meta.url);

/** The classifier that Sotto ships, trained with the words of that policy. */
export const classifierUrl: URL = new URL("../classifier/classifier.bin", import.meta.url);
