import { type CommandNode, pathKey, type Values } from "./command-tree.ts";

/** A completion script for zsh; commands and options come with their descriptions. */
export function zshCompletion(tree: readonly CommandNode[]): string {
  const paths = tree.filter((node) => node.path.length > 0).map((node) => quote(pathKey(node)));
  return `#compdef hostmesh
# zsh completion for hostmesh. Load it with: source <(hostmesh completion zsh)
_hostmesh() {
  local at="" i
  local -a entries
  for ((i = 2; i < CURRENT; i++)); do
    case "$at \${words[i]}" in
      ${paths.join("|")}) at="$at \${words[i]}" ;;
    esac
  done
  case "$at:\${words[CURRENT-1]}" in
${tree.flatMap(optionValues).join("\n")}
  esac
  case "$at" in
${tree.map(branch).join("\n")}
  esac
}
if [[ "\${funcstack[1]}" == _hostmesh ]]; then _hostmesh "$@"; else compdef _hostmesh hostmesh; fi
`;
}

function optionValues(node: CommandNode): string[] {
  return node.options
    .filter((option) => option.takesValue)
    .map((option) => {
      const patterns = option.names.map((name) => quote(`${pathKey(node)}:${name}`));
      return `    ${patterns.join("|")}) ${reply(option.values)}; return ;;`;
    });
}

function branch(node: CommandNode): string {
  const options = node.options.flatMap(({ names, description }) =>
    names.map((name) => entry(name, description)),
  );
  const children = node.subcommands.map(({ name, description }) => entry(name, description));
  const rest =
    children.length > 0
      ? `entries=(${children.join(" ")}); _describe command entries`
      : reply(node.argument);
  return `    ${quote(pathKey(node))})
      if [[ "\${words[CURRENT]}" == -* ]]; then entries=(${options.join(" ")}); _describe option entries
      else ${rest}; fi ;;`;
}

function reply(values: Values): string {
  switch (values.kind) {
    case "words":
      return `compadd -- ${values.words.map(quote).join(" ")}`;
    case "files":
      return "_files";
    case "folders":
      return "_files -/";
    case "names":
      return `compadd -- \${(f)"$(hostmesh completion ${values.of} 2>/dev/null)"}`;
    case "none":
      return "true";
  }
}

/** `name:description`; a colon in the name has to be escaped, names here have none. */
function entry(name: string, description: string): string {
  return quote(`${name}:${description.replaceAll("\n", " ")}`);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
