import type { ComponentChildren } from "preact";

/** The whole page, while there is nothing to show. */
export function Waiting(props: { readonly words: string; readonly children?: ComponentChildren }) {
  return (
    <main class="waiting" id="content" tabIndex={-1}>
      <h1>hostmesh</h1>
      <p role="status">{props.words}</p>
      {props.children}
    </main>
  );
}
