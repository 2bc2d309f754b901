// A light stem: enough that "make", "makes" and "making" are one word, and no more.

const minStem = 3;

/** The part of a folded word that its forms share. */
export function stemOf(word: string): string {
  let stem = word;
  if (stem.length <= minStem) return stem;
  if (stem.endsWith("ies") && stem.length > 4) stem = `${stem.slice(0, -3)}y`;
  else if (stem.endsWith("s") && !/(?:ss|us|is)$/.test(stem)) stem = stem.slice(0, -1);
  if (stem.endsWith("ing") && stem.length > 5) stem = undouble(stem.slice(0, -3));
  else if (stem.endsWith("ied") && stem.length > 4) stem = `${stem.slice(0, -3)}y`;
  else if (stem.endsWith("ed") && stem.length > 4 && !stem.endsWith("eed")) {
    stem = undouble(stem.slice(0, -2));
  }
  return stem.endsWith("e") && stem.length > minStem ? stem.slice(0, -1) : stem;
}

function undouble(stem: string): string {
  const last = stem.at(-1);
  const isDouble = stem.length > minStem && last === stem.at(-2) && !/[lsz]$/.test(stem);
  return isDouble ? stem.slice(0, -1) : stem;
}
