// Freezes the objects that the language brings, so that no input can change what they do for what comes after it.

const names = [
  ...["Object", "Function", "Array", "Number", "Boolean", "String", "Symbol", "BigInt", "Date", "RegExp"],
  ...["Error", "AggregateError", "EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError"],
  ...["URIError", "SuppressedError", "Promise", "Map", "Set", "WeakMap", "WeakSet", "WeakRef", "Iterator"],
  ...["FinalizationRegistry", "Proxy", "Reflect", "JSON", "Math", "Atomics", "Intl", "ArrayBuffer"],
  ...["SharedArrayBuffer", "DataView", "Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array"],
  ...["Uint16Array", "Int32Array", "Uint32Array", "Float16Array", "Float32Array", "Float64Array"],
  ...["BigInt64Array", "BigUint64Array", "DisposableStack", "AsyncDisposableStack"],
] as const;

// Members of prototypes that programs give their own objects by assignment, which a frozen prototype would forbid.
const assignable = ["constructor", "name", "message", "toString", "toJSON", "valueOf"] as const;

/**
 * Freezes constructors, prototypes and namespaces of the language; done once, after everything has been loaded.
 *
 * Node's `--frozen-intrinsics` also freezes each of their functions, for 20 ms of processor time.
 */
export function freezeBuiltins(): void {
  forbidCodeFromStrings();
  const found = collect();
  for (const object of found) keepAssignable(object);
  for (const object of found) Object.freeze(object);
  for (const name of names) {
    if (name in globalThis) Object.defineProperty(globalThis, name, { writable: false, configurable: false });
  }
}

/** Whether they are frozen, as far as a few that matter most can tell. */
export function hasFrozenBuiltins(): boolean {
  const samples = [Object, Array, Function, Promise, Error, Map, Uint8Array, JSON, RegExp];
  return samples.every(
    (sample) => Object.isFrozen(sample) && (!("prototype" in sample) || Object.isFrozen(sample.prototype)),
  );
}

/** Whether text can be made to run, in any of the ways that the language has. */
export function canMakeCode(): boolean {
  const ways: readonly (() => unknown)[] = [
    () => new Function(""),
    () => Reflect.apply(Reflect.get(globalThis, "eval"), undefined, ["1"]),
    ...functionKinds().map((kind) => () => Reflect.construct(kind.constructor, [""])),
    ...functionKinds().map((kind) => () => Reflect.construct(Object.getPrototypeOf(kind).constructor, [""])),
  ];
  return ways.some((way) => {
    try {
      way();
      return true;
    } catch {
      return false;
    }
  });
}

function functionKinds(): readonly object[] {
  return [() => {}, async () => {}, function* () {}, async function* () {}];
}

// V8's flag for it, `--disallow-code-generation-from-strings`, costs 10 ms of processor time a process: with any such
// flag it does not use Node's own code as it was compiled. Here what makes code of strings is out of reach instead.
function forbidCodeFromStrings(): void {
  const fixed = { writable: false, enumerable: false, configurable: false };
  const refuse = (): never => {
    throw new EvalError("no code from strings");
  };
  const standFor = (prototype: object): unknown => {
    // A function of its own kind, so that `instanceof` goes on working.
    const stand = (): never => refuse();
    Object.defineProperty(stand, "prototype", { value: prototype });
    return stand;
  };
  for (const kind of functionKinds()) {
    const prototype: object = Object.getPrototypeOf(kind);
    const value = standFor(prototype);
    Object.defineProperty(prototype, "constructor", { ...fixed, value });
    if (prototype === Function.prototype) Object.defineProperty(globalThis, "Function", { ...fixed, value });
  }
  Object.defineProperty(globalThis, "eval", { ...fixed, value: refuse });
}

function collect(): Set<object> {
  const found = new Set<object>();
  const pending: unknown[] = [
    ...names.map((name) => Object.getOwnPropertyDescriptor(globalThis, name)?.value),
    // Objects that have no name of their own.
    async () => {},
    function* () {},
    async function* () {},
    [][Symbol.iterator](),
    new Map()[Symbol.iterator](),
    new Set()[Symbol.iterator](),
    ""[Symbol.iterator](),
    "".matchAll(/x/g),
    (async function* () {})(),
  ];
  while (pending.length > 0) {
    const next = pending.pop();
    if ((typeof next !== "object" && typeof next !== "function") || next === null || found.has(next))
      continue;
    found.add(next);
    pending.push(Object.getPrototypeOf(next), Object.getOwnPropertyDescriptor(next, "prototype")?.value);
  }
  return found;
}

function keepAssignable(prototype: object): void {
  for (const name of assignable) {
    const property = Object.getOwnPropertyDescriptor(prototype, name);
    if (property?.configurable !== true || property.writable !== true) continue;
    const { value } = property;
    Object.defineProperty(prototype, name, {
      configurable: false,
      enumerable: property.enumerable === true,
      get: () => value,
      set(own: unknown) {
        if (this === prototype) throw new TypeError("built-in objects are frozen");
        Object.defineProperty(this, name, {
          value: own,
          writable: true,
          enumerable: true,
          configurable: true,
        });
      },
    });
  }
}
