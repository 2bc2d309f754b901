/** What every request of this SDK has in common: it leaves no trace in a browser, and carries nothing that is kept there. */
export const requestDefaults = {
  redirect: "error",
  cache: "no-store",
  credentials: "omit",
  referrerPolicy: "no-referrer",
} as const satisfies RequestInit;
