// A real browser for tests: the system's Chromium where there is one, else the one that comes as a package. Every rule
// that protects pages is left on; switches that a package recommends for servers would turn off just what is tested.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { serve } from "@sotto/kit";
import { type Browser, chromium, type Page } from "playwright-core";
import { bundleForBrowser } from "../../tools/bundle/src/browser-bundle.ts";

const root = join(import.meta.dirname, "..", "..");
const systemBrowsers = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Starts a browser. Undefined, and the reason printed, where none can be started; in CI that is a failure. */
export async function launchChromium(wanted?: string): Promise<Browser | undefined> {
  try {
    const executablePath = wanted ?? systemBrowsers.find((path) => existsSync(path)) ?? unpackChromium();
    return await chromium.launch({ executablePath, headless: true, args: ["--disable-gpu"] });
  } catch (error) {
    if ((process.env.CI ?? "") !== "") throw error;
    console.error(`no browser can be started here, so nothing was tested in one: ${String(error)}`);
    return undefined;
  }
}

// Unpacked once for this clone, 200 MB. Under another name until it is whole, for several tests may begin at once.
function unpackChromium(): string {
  const modules = join(root, "node_modules");
  const manifest = readFileSync(join(modules, "@sparticuz", "chromium", "package.json"), "utf8");
  const { version }: { version: string } = JSON.parse(manifest);
  const folder = join(modules, ".cache", `chromium-${version}`);
  if (!existsSync(folder)) {
    mkdirSync(join(modules, ".cache"), { recursive: true });
    const partial = mkdtempSync(`${folder}-`);
    const code = 'import pack from "@sparticuz/chromium"; await pack.executablePath();';
    execFileSync(process.execPath, ["--input-type=module", "-e", code], {
      cwd: root,
      env: { ...process.env, TMPDIR: partial },
      stdio: "pipe",
    });
    try {
      renameSync(partial, folder);
    } catch {
      rmSync(partial, { recursive: true, force: true }); // somebody else was faster
    }
  }
  return join(folder, "chromium");
}

export type PageOptions = {
  /** Paths of scripts to their entries below the root of the clone; `/page.js` is the page's own. */
  readonly scripts: Readonly<Record<string, string>> & { readonly "/page.js": string };
  /** Origins that the page may talk to, and no others. */
  readonly connect: readonly string[];
  /** What is in the page's body. */
  readonly body?: string;
  readonly style?: string;
};

/** A page with its scripts, served from loopback. */
export type TestPage = {
  readonly page: Page;
  /** What the browser and the page complained about: console, uncaught errors, breaches of the policy. */
  readonly complaints: string[];
  readonly close: () => Promise<void>;
};

const bundles = new Map<string, Promise<string>>();

function bundleOnce(entry: string): Promise<string> {
  const code = bundles.get(entry) ?? bundleForBrowser({ root, entry }).then((bundle) => bundle.code);
  bundles.set(entry, code);
  return code;
}

/** Bundles scripts, serves them under a strict policy and opens the page. */
export async function openPage(browser: Browser, options: PageOptions): Promise<TestPage> {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "worker-src 'self'",
    `connect-src ${options.connect.join(" ")}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  const files = new Map<string, readonly [type: string, text: string]>([
    [
      "/",
      [
        "text/html",
        `<!doctype html><html lang="en"><meta charset="utf-8"><title>Sotto</title>
<link rel="stylesheet" href="/page.css">
<body>${options.body ?? ""}<script type="module" src="/page.js"></script></body></html>`,
      ],
    ],
    ["/page.css", ["text/css", options.style ?? ""]],
  ]);
  for (const [path, entry] of Object.entries(options.scripts)) {
    files.set(path, ["text/javascript", await bundleOnce(entry)]);
  }
  const server = await serve({
    port: 0,
    handler: async (request) => {
      const [type, text] = files.get(new URL(request.url).pathname) ?? [];
      if (type === undefined) return new Response(null, { status: 404 });
      return new Response(text, {
        headers: { "content-type": `${type}; charset=utf-8`, "content-security-policy": policy },
      });
    },
  });
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => complaints.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  // A breach that is caught is not told on the console.
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) =>
      console.error(`policy: ${effectiveDirective} ${blockedURI}`),
    );
  });
  await page.goto(server.address);
  return {
    page,
    complaints,
    close: async () => {
      await page.close();
      await server.close();
    },
  };
}
