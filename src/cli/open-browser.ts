import { spawn } from "node:child_process";

/** What shows an address in the user's browser; null: there is no display, as in a session of SSH. */
export function browserOpener(
  platform: NodeJS.Platform,
  env: Readonly<Record<string, string | undefined>>,
): string | null {
  if (platform === "darwin") return "open";
  const hasDisplay = (env["DISPLAY"] ?? "") !== "" || (env["WAYLAND_DISPLAY"] ?? "") !== "";
  return hasDisplay ? "xdg-open" : null;
}

/** Opens an address; a browser that cannot be had is no failure, as the address was printed. */
export function openBrowser(url: string): void {
  const opener = browserOpener(process.platform, process.env);
  if (opener === null) return;
  const child = spawn(opener, [url], { stdio: "ignore", detached: true });
  child.on("error", () => undefined);
  child.unref();
}
