// Streams of Node's as tests give them to sessions on every platform, and which of the two builds this is.
export { byteStreamOf as asByteStream } from "../src/byte-stream.node.ts";

/** Whether this process runs the build for browsers: `node --conditions=browser`. */
export const isBrowserBuild: boolean = process.execArgv.some((flag) =>
  /^--conditions[= ]browser$/.test(flag),
);

/** What a test says that has nothing to test in the build for browsers; false in Node's own. */
export const skippedInBrowser = (why: string): string | false => isBrowserBuild && `browser build: ${why}`;
