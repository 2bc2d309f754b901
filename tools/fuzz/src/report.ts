// What a campaign prints.
import type { Campaign, Failure } from "./campaign.ts";

/** A campaign in words. */
export function renderCampaign(campaign: Campaign): string {
  const { cases, seconds, both, neither, stricter, codes, failures, seed } = campaign;
  return [
    `${cases} cases in ${seconds.toFixed(0)} s (${(cases / Math.max(seconds, 0.001)).toFixed(0)} a second), seed ${seed}`,
    `  taken by both clients   ${both}`,
    `  refused by both         ${neither}`,
    `  refused by ours alone   ${stricter}`,
    `  failures                ${failures.length}`,
    "",
    "ours said",
    ...renderCodes(codes.sotto),
    "",
    "openssl said",
    ...renderCodes(codes.openssl),
    ...failures.map((failure) => `\n${renderFailure(failure)}`),
    "",
  ].join("\n");
}

/** One failure in words. */
export function renderFailure({ index, what, sotto, openssl, words }: Failure): string {
  return [
    `case ${index}: ${what}`,
    `  ours: ${sotto}; openssl: ${openssl}`,
    ...words.map((line) => `  ${line}`),
  ].join("\n");
}

function renderCodes(counts: Readonly<Record<string, number>>): string[] {
  return Object.entries(counts)
    .sort(([, left], [, right]) => right - left)
    .map(([code, number]) => `  ${String(number).padStart(7)}  ${code}`);
}
