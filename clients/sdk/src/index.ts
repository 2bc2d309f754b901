export * from "./file-token-store.node.ts";
export * from "./index.browser.ts";
