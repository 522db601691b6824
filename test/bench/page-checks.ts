/** Functions that run in the page and return what is wrong with it, as a list of sentences. */

/** Texts of one plot that lie on each other, or stick out of their card. */
export const PLOT_TEXTS = `(() => {
  const wrong = [];
  for (const svg of document.querySelectorAll("svg.plot")) {
    const box = svg.getBoundingClientRect();
    if (box.width < 100 || box.height < 100) wrong.push("a plot has " + box.width + " x " + box.height);
    const card = svg.closest(".panel").getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map((text) => ({ name: text.textContent, box: text.getBoundingClientRect() }));
    for (const [at, one] of texts.entries()) {
      if (one.box.left < card.left || one.box.right > card.right || one.box.bottom > card.bottom) wrong.push(one.name + " sticks out");
      for (const other of texts.slice(at + 1)) {
        const across = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
        const down = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
        // A box is as high as the font's line; letters fill some three quarters of it.
        if (across > 0.5 && down > one.box.height * 0.3) wrong.push(one.name + " lies on " + other.name);
      }
    }
  }
  return wrong;
})()`;

/** Whatever sticks out to the right, unless it scrolls by itself. */
export const OVERFLOWS = `(() => {
  const wrong = [];
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) wrong.push("the page is " + page.scrollWidth + " wide");
  for (const one of document.body.querySelectorAll("*")) {
    if (one.closest(".scroll") !== null && !one.matches(".scroll")) continue;
    if (one.getBoundingClientRect().right > page.clientWidth + 0.5) wrong.push(one.tagName + " " + one.textContent.slice(0, 40));
  }
  return wrong;
})()`;

/** Texts whose contrast with what is behind them is below 4.5 (WCAG 2, AA). */
export const CONTRASTS = `(() => {
  const parse = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number);
  const light = (color) => {
    const [r, g, b] = color.map((one) => one / 255).map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color.slice(0, 3);
    }
    return parse("255 255 255");
  };
  const wrong = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement;
    if (node.data.trim() === "" || element.closest("title, desc") !== null) continue;
    const style = getComputedStyle(element);
    const color = parse(element.closest("svg") === null ? style.color : style.fill).slice(0, 3);
    const [high, low] = [light(color), light(behind(element))].sort((a, b) => b - a);
    const contrast = (high + 0.05) / (low + 0.05);
    seen += 1;
    if (contrast < 4.5) wrong.set(element.tagName + "." + element.getAttribute("class") + " " + contrast.toFixed(2), true);
  }
  return seen < 100 ? ["only " + seen + " texts were looked at"] : [...wrong.keys()];
})()`;
