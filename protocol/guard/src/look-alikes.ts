// Letters of other alphabets that look like Latin ones and that compatibility decomposition leaves alone.

const groups: Readonly<Record<string, string>> = {
  a: "аαɑаᴀɐⱥ∂λ",
  b: "вβьЬбʙᏏɓƀ",
  c: "сϲᴄⅽ¢ςƈȼɔ",
  d: "ԁᴅɗđδ",
  e: "еєεҽᴇ℮ɇэǝѐ",
  f: "ϝғꜰƒ",
  g: "ɡɢġցǥ",
  h: "һнʜհɦħ",
  i: "іιıɪӏⅰ¡ї",
  j: "јϳᴊɉ",
  k: "кκᴋƙҝ",
  l: "ⅼʟłӏℓ",
  m: "мᴍɱⅿ",
  n: "пηɴոƞи",
  o: "оοσᴏօøө०௦",
  p: "рρᴘþ",
  q: "ԛզ",
  r: "гʀɾᴦяɍ",
  s: "ѕꜱʂς",
  t: "тτᴛŧƭ",
  u: "υᴜսʋцμ",
  v: "ѵνᴠⅴ",
  w: "ѡωᴡшщԝ",
  x: "хχⅹжҳ",
  y: "уγʏүұ",
  z: "ᴢʐƶȥ",
  ss: "ß",
  ae: "æ",
  oe: "œ",
};

/** The Latin letters that a lower-case character stands for. */
export const lookAlikes: ReadonlyMap<string, string> = new Map(
  Object.entries(groups)
    .flatMap(([latin, others]) => [...others].map((other) => [other, latin] as const))
    .reverse(),
);
