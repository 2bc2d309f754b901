import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeUtf8, encodeUtf8 } from "@sotto/base";
import fc from "fast-check";
import { FlightCarrier, type FlightSink } from "../src/flight-carrier.ts";

/** A sink that must be ended or aborted once, and written to only before that. */
function createSink(isFree = true) {
  let text = "";
  let state: "open" | "ended" | "aborted" = "open";
  const close = (how: "ended" | "aborted") => (): void => {
    assert.equal(state, "open");
    state = how;
  };
  const sink: FlightSink = {
    write: (bytes) => {
      assert.equal(state, "open");
      text += decodeUtf8(bytes);
      return isFree;
    },
    end: close("ended"),
    abort: close("aborted"),
  };
  return { sink, text: () => text, state: () => state };
}

test("what a session says goes out through the exchange in progress, until its flight is over", () => {
  const carrier = new FlightCarrier();
  const first = createSink();
  carrier.begin(first.sink);
  assert.equal(carrier.write(encodeUtf8("one ")), true);
  assert.equal(carrier.write(encodeUtf8("flight")), true);
  carrier.endFlight(1);
  assert.deepEqual([first.text(), first.state()], ["one flight", "ended"]);
  const second = createSink();
  carrier.begin(second.sink);
  carrier.write(encodeUtf8("another"));
  carrier.endFlight(2);
  assert.deepEqual([second.text(), second.state()], ["another", "ended"]);
});

test("a flight that comes in several pieces is over when the last of them has been taken in", () => {
  const carrier = new FlightCarrier();
  const { sink, state } = createSink();
  carrier.begin(sink, 3);
  for (const received of [1, 2]) carrier.endFlight(received);
  assert.equal(state(), "open");
  carrier.endFlight(3);
  assert.equal(state(), "ended");
});

test("who reads slowly makes the session wait, and nobody does not", () => {
  const carrier = new FlightCarrier();
  const slow = createSink(false);
  carrier.begin(slow.sink);
  assert.equal(carrier.write(encodeUtf8("x")), false);
  carrier.endFlight(1);
  assert.equal(carrier.write(encodeUtf8("x")), true);
});

test("an end that was said of an earlier flight ends no later one", () => {
  const carrier = new FlightCarrier();
  carrier.begin(createSink().sink);
  carrier.endFlight(1);
  const second = createSink();
  carrier.begin(second.sink);
  for (const received of [0, 1]) carrier.endFlight(received);
  assert.equal(second.state(), "open");
  carrier.endFlight(2);
  assert.equal(second.state(), "ended");
  carrier.endFlight(2);
});

test("what is said to nobody waits for the next exchange, up to a mebibyte", () => {
  const carrier = new FlightCarrier();
  carrier.write(encodeUtf8("early, "));
  const sink = createSink();
  carrier.begin(sink.sink);
  carrier.write(encodeUtf8("and on time"));
  carrier.endFlight(1);
  assert.equal(sink.text(), "early, and on time");
  const half = new Uint8Array(512 * 1024);
  carrier.write(half);
  carrier.write(half);
  assert.throws(() => carrier.write(new Uint8Array(1)), RangeError);
  const next = createSink();
  const other = new FlightCarrier();
  other.write(half);
  other.begin(next.sink);
  other.endFlight(1);
  other.write(half);
  other.write(half);
  assert.equal(next.text().length, half.length, "counted anew after each exchange");
});

test("an exchange that begins ends the one before it as it is", () => {
  const carrier = new FlightCarrier();
  const [first, second] = [createSink(), createSink()];
  carrier.begin(first.sink);
  carrier.write(encodeUtf8("one"));
  carrier.begin(second.sink);
  carrier.write(encodeUtf8("two"));
  assert.deepEqual([first.text(), first.state()], ["one", "ended"]);
  assert.deepEqual([second.text(), second.state()], ["two", "open"]);
});

test("after the end of a session every exchange ends at once, with what was still to be said", () => {
  const carrier = new FlightCarrier();
  const sink = createSink();
  carrier.begin(sink.sink);
  carrier.finish();
  assert.equal(sink.state(), "ended");
  carrier.write(encodeUtf8("last words"));
  const late = createSink();
  carrier.begin(late.sink);
  assert.deepEqual([late.text(), late.state()], ["last words", "ended"]);
});

test("an answer under way when the session goes is aborted, one that was whole is not", () => {
  const carrier = new FlightCarrier();
  const whole = createSink();
  carrier.begin(whole.sink);
  carrier.endFlight(1);
  const half = createSink();
  carrier.begin(half.sink);
  carrier.write(encodeUtf8("hal"));
  carrier.abort();
  carrier.abort();
  assert.deepEqual([whole.state(), half.state()], ["ended", "aborted"]);
});

test("whatever happens in whatever order, every sink is closed once, and no byte comes twice or in another order", () => {
  const step = fc.constantFrom("begin", "write", "flight", "late flight", "finish", "abort");
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const carrier = new FlightCarrier();
      const sinks: ReturnType<typeof createSink>[] = [];
      let said = 0;
      for (const what of steps) {
        if (what === "begin") {
          const sink = createSink();
          sinks.push(sink);
          carrier.begin(sink.sink);
        } else if (what === "write") {
          carrier.write(encodeUtf8(`${said} `));
          said += 1;
        } else if (what === "flight") carrier.endFlight(sinks.length);
        else if (what === "late flight") carrier.endFlight(sinks.length - 1);
        else if (what === "finish") carrier.finish();
        else carrier.abort();
      }
      const heard = sinks.map((sink) => sink.text()).join("");
      const all = Array.from({ length: said }, (_, index) => `${index} `).join("");
      assert.ok(all.startsWith(heard));
      assert.ok(sinks.slice(0, -1).every((sink) => sink.state() !== "open"));
    }),
  );
});
