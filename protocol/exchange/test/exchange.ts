import type { RequestHandler } from "@sotto/exchange";

/** A handler as the platform's Request and Response have it, for clients that know those. */
export const asFetch =
  (handler: RequestHandler) =>
  async (request: Request): Promise<Response> => {
    const content = new Uint8Array(await request.arrayBuffer());
    const { pathname } = new URL(request.url);
    const { status, contentType, body } = await handler({ method: request.method, path: pathname, content });
    // Asked for piece by piece, as a session does.
    const pieces = body[Symbol.asyncIterator]();
    const stream = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const next = await pieces.next();
          if (next.done === true) controller.close();
          else controller.enqueue(next.value);
        },
        cancel: async () => void (await pieces.return?.()),
      },
      { highWaterMark: 0 },
    );
    return new Response(stream, { status, headers: { "content-type": contentType } });
  };
