/** Light or dark: what the system asks for, or what the reader chose; the choice is kept, as it is no secret. */
export type Theme = "system" | "light" | "dark";

const KEY = "hostmesh-theme";

export function readTheme(): Theme {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === "light" || kept === "dark" ? kept : "system";
  } catch {
    return "system"; // Storage is forbidden by the browser's settings.
  }
}

/** Applies and keeps it. */
export function setTheme(theme: Theme): void {
  const root = document.documentElement;
  if (theme === "system") delete root.dataset["theme"];
  else root.dataset["theme"] = theme;
  try {
    if (theme === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // It then lasts as long as the page.
  }
}

/** The present value of a colour of the style sheet, for canvases, which know no variables. */
export function colorOf(name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
