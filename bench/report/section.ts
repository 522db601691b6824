import { type Markup, markup } from "./markup.ts";

/** A part of the page with a heading that can be linked to. */
export interface Section {
  readonly id: string;
  readonly heading: string;
  readonly body: Markup;
}

/** One plot with its heading above and what to know below. */
export function panel(heading: string, plot: Markup, caption: Markup | null = null): Markup {
  return markup`<figure class="panel"><h3>${heading}</h3>${plot}${caption === null ? null : markup`<figcaption>${caption}</figcaption>`}</figure>`;
}

export function panels(all: readonly Markup[]): Markup {
  return markup`<div class="panels">${all}</div>`;
}
