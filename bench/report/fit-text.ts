/** Widths in ems of kinds of characters, a little more than common sans fonts have; a plot cannot measure its text. */
const NARROW = 0.36;
const USUAL = 0.62;
const CAPITAL = 0.74;
const WIDE = 1;

/** Cuts the text to what fits into so many pixels at this size of the font; the last character becomes `…` then. */
export function fitText(text: string, width: number, size: number): string {
  const characters = [...text];
  const widths = characters.map((one) => emsOf(one) * size);
  if (sum(widths) <= width) return text;
  let kept = characters.length;
  while (kept > 0 && sum(widths.slice(0, kept)) + WIDE * size > width) kept -= 1;
  return `${characters.slice(0, kept).join("")}…`;
}

function emsOf(character: string): number {
  if (/[iljtfrI.,:;'|!()[\] -]/.test(character)) return NARROW;
  if (/[mwMW@%<>=+~&#…]/.test(character) || character > "\u02ff") return WIDE;
  return /[A-Z]/.test(character) ? CAPITAL : USUAL;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
