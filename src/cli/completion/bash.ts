import { type CommandNode, pathKey, type Values } from "./command-tree.ts";

/** A completion script for bash 4 and later, without the bash-completion package. */
export function bashCompletion(tree: readonly CommandNode[]): string {
  const paths = tree.filter((node) => node.path.length > 0).map((node) => quote(pathKey(node)));
  return `# bash completion for hostmesh. Load it with: source <(hostmesh completion bash)
_hostmesh() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" at="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
      ${paths.join("|")}) at="$at \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$at:$prev" in
${tree.flatMap(optionValues).join("\n")}
  esac
  case "$at" in
${tree.map(words).join("\n")}
  esac
}
complete -o bashdefault -F _hostmesh hostmesh
`;
}

function optionValues(node: CommandNode): string[] {
  return node.options
    .filter((option) => option.takesValue)
    .map((option) => {
      const patterns = option.names.map((name) => quote(`${pathKey(node)}:${name}`));
      return `    ${patterns.join("|")}) ${reply(option.values, [])}; return ;;`;
    });
}

function words(node: CommandNode): string {
  const options = node.options.flatMap((option) => option.names);
  const names = node.subcommands.map((child) => child.name);
  return `    ${quote(pathKey(node))})
      if [[ "$cur" == -* ]]; then COMPREPLY=($(compgen -W ${quote(options.join(" "))} -- "$cur"))
      else ${reply(node.argument, names)}; fi ;;`;
}

function reply(values: Values, names: readonly string[]): string {
  switch (values.kind) {
    case "words":
      return `COMPREPLY=($(compgen -W ${quote([...names, ...values.words].join(" "))} -- "$cur"))`;
    case "files":
      return `COMPREPLY=($(compgen -f -- "$cur"))`;
    case "folders":
      return `COMPREPLY=($(compgen -d -- "$cur"))`;
    case "names":
      return `COMPREPLY=($(compgen -W "$(hostmesh completion ${values.of} 2>/dev/null)" -- "$cur"))`;
    case "none":
      return `COMPREPLY=($(compgen -W ${quote(names.join(" "))} -- "$cur"))`;
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
