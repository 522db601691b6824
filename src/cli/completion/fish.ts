import { type CommandNode, type OptionNode, pathKey, type Values } from "./command-tree.ts";

/** A completion script for fish 3 and later. */
export function fishCompletion(tree: readonly CommandNode[]): string {
  const paths = tree.filter((node) => node.path.length > 0).map((node) => quote(pathKey(node)));
  return `# fish completion for hostmesh. Load it with: hostmesh completion fish | source
function __hostmesh_at
    set -l at ""
    for word in (commandline -opc)[2..-1]
        switch "$at $word"
            case ${paths.join(" ")}
                set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end
complete -c hostmesh -f
${tree.flatMap(lines).join("\n")}
`;
}

function lines(node: CommandNode): string[] {
  const start = `complete -c hostmesh -n ${quote(`__hostmesh_at ${quote(pathKey(node))}`)}`;
  const children = node.subcommands.map(
    ({ name, description }) => `${start} -a ${name} -d ${quote(description)}`,
  );
  const options = node.options.map(
    (option) => `${start} ${names(option)}${value(option)} -d ${quote(option.description)}`,
  );
  const argument = candidates(node.argument);
  return [...children, ...options, ...(argument === "" ? [] : [`${start}${argument}`])];
}

function names(option: OptionNode): string {
  return option.names
    .map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`))
    .join(" ");
}

function value(option: OptionNode): string {
  return option.takesValue ? ` -r${candidates(option.values)}` : "";
}

function candidates(values: Values): string {
  switch (values.kind) {
    case "words":
      return ` -a ${quote(values.words.join(" "))}`;
    case "files":
      return " -F";
    case "folders":
      return ` -a ${quote("(__fish_complete_directories)")}`;
    case "names":
      return ` -a ${quote(`(hostmesh completion ${values.of} 2>/dev/null)`)}`;
    case "none":
      return "";
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
