/**
 * A demo program holds the read end of a pipe from the process that started it, and ends when that pipe
 * closes: even a SIGKILL of the parent leaves no program behind.
 */
export function endWithParent(): void {
  process.stdin.on("end", () => process.exit(0));
  process.stdin.on("error", () => process.exit(0));
  process.stdin.resume();
}

/** A number from the environment, or the fallback where it is absent or no number. */
export function numberFrom(name: string, fallback: number): number {
  const value = Number(process.env[name] ?? "");
  return process.env[name] === undefined || Number.isNaN(value) ? fallback : value;
}
