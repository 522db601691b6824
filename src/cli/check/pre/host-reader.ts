import type { Runner } from "../../../../iptables/runner.ts";

/** Looks at a host by commands, so that a test can look into a namespace. Null: it could not be seen. */
export interface HostReader {
  run(command: string, args: readonly string[]): Promise<string | null>;
  read(path: string): Promise<string | null>;
  /** Names in a folder, sorted. */
  list(path: string): Promise<readonly string[] | null>;
}

export function hostReader(runner: Runner): HostReader {
  const run = (command: string, args: readonly string[]) =>
    runner.run(command, args).catch(() => null);
  return {
    run,
    read: (path) => run("cat", [path]),
    list: async (path) => {
      const text = await run("ls", ["-1", path]);
      return text === null ? null : text.split("\n").filter((name) => name !== "");
    },
  };
}
