// Lets pages of every origin use chosen paths (Fetch, CORS protocol). The answers are the same for all of them: what
// is served here is open to anybody who has a token or a secret, and a page is believed nothing about who it is.
// Cookies and other credentials that a browser keeps have no part in it, and no header is exposed beyond those that
// every page may read.

/** Methods and headers that a path takes, by the path. */
export type PageAccess = Readonly<
  Record<string, { readonly methods: readonly string[]; readonly headers: readonly string[] }>
>;

const maxAgeSeconds = 86_400; // browsers cut it to what they like

/** The answer to a browser that asks first, or undefined for any other request. */
export function answerPreflight(access: PageAccess | undefined, request: Request): Response | undefined {
  const path = pathIn(access, request);
  if (path === undefined || request.method !== "OPTIONS") return undefined;
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": path.methods.join(", "),
      ...(path.headers.length === 0 ? {} : { "access-control-allow-headers": path.headers.join(", ") }),
      "access-control-max-age": String(maxAgeSeconds),
    },
  });
}

/** Lets pages read an answer, whatever it says, when its path is one of theirs. */
export function openToPages(access: PageAccess | undefined, request: Request, response: Response): Response {
  if (pathIn(access, request) !== undefined) response.headers.set("access-control-allow-origin", "*");
  return response;
}

function pathIn(access: PageAccess | undefined, request: Request): PageAccess[string] | undefined {
  if (access === undefined) return undefined;
  const { pathname } = new URL(request.url);
  return Object.hasOwn(access, pathname) ? access[pathname] : undefined;
}
