import { useId, useMemo } from "preact/hooks";
import { usePage } from "./state.ts";

/** A field that narrows what is shown. */
export function Filter(props: {
  readonly label: string;
  readonly value: string;
  readonly placeholder?: string;
  readonly onInput: (value: string) => void;
}) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      <input
        id={id}
        type="search"
        autocomplete="off"
        spellcheck={false}
        placeholder={props.placeholder ?? ""}
        value={props.value}
        onInput={({ currentTarget }) => props.onInput(currentTarget.value)}
      />
    </div>
  );
}

export function Choice(props: {
  readonly label: string;
  readonly value: string;
  readonly options: readonly (readonly [string, string])[];
  readonly onChoose: (value: string) => void;
}) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      <select
        id={id}
        value={props.value}
        onChange={({ currentTarget }) => props.onChoose(currentTarget.value)}
      >
        {props.options.map(([value, words]) => (
          <option key={value} value={value}>
            {words}
          </option>
        ))}
      </select>
    </div>
  );
}

/** One namespace of those that have services or callers, or all. */
export function NamespaceChoice(props: {
  readonly value: string;
  readonly onChoose: (value: string) => void;
}) {
  const { report } = usePage();
  const options = useMemo(() => {
    const names = [
      ...report.services.map(({ service }) => service),
      ...report.sources.map(({ source }) => source),
    ];
    const namespaces = new Set(
      names.flatMap((name) => (name.includes("/") ? name.split("/", 1) : [])),
    );
    return [["", "all"] as const, ...[...namespaces].sort().map((name) => [name, name] as const)];
  }, [report]);
  return (
    <Choice label="Namespace" value={props.value} options={options} onChoose={props.onChoose} />
  );
}
