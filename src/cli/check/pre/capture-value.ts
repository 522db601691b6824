/** How an installation is told of a way to capture: what `hostmesh install`, `hostmesh upgrade` and `helm upgrade` take. */
export function captureValue(mode: "tproxy" | "redirect" | "explicit"): string {
  return `--set captureMode=${mode}`;
}
