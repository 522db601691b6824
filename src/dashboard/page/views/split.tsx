import { useEffect, useId, useRef, useState } from "preact/hooks";
import { setPercent, toPercents } from "../model/weights.ts";
import { reasonOf, useLoaded } from "../net/page-data.ts";
import type { Backend, Split } from "../net/types.ts";
import { Panel } from "../parts/common.tsx";
import { usePage } from "../parts/state.ts";

/** A slider is dragged: the text is asked for once it rests. */
const REST_MS = 200;

/** How a service's traffic is split, and for editors the means to change it. */
export function TrafficSplit({ service }: { readonly service: string }) {
  const { api, revision } = usePage();
  const [loaded, reload] = useLoaded(service, revision, () => api.split(service));
  const [split, setSplit] = useState<Split | null>(null);
  useEffect(() => {
    if (loaded.is === "there") setSplit(loaded.value);
  }, [loaded]);
  return (
    <Panel title="Traffic split">
      {split === null && loaded.is === "loading" && <p class="empty">Loading …</p>}
      {loaded.is === "failed" && <p class="empty">It could not be loaded: {loaded.reason}.</p>}
      {split !== null && loaded.is !== "failed" && (
        <SplitForm
          key={service}
          service={service}
          split={split}
          onWritten={(written) => {
            setSplit(written);
            reload();
          }}
        />
      )}
    </Panel>
  );
}

interface FormProps {
  readonly service: string;
  readonly split: Split;
  readonly onWritten: (written: Split) => void;
}

function SplitForm({ service, split, onWritten }: FormProps) {
  const { session } = usePage();
  const [draft, setDraft] = useState<readonly Backend[] | null>(null);
  const mayDraft = session.role === "editor" && split.backends.length > 1;
  const shown = draft ?? toPercents(split.backends);
  const change = (name: string, percent: number) => setDraft(setPercent(shown, name, percent));
  return (
    <>
      <p class="note">
        {split.resource === null
          ? (split.reason ?? "No resource splits its traffic yet.")
          : `${split.resource.kind} ${split.resource.namespace}/${split.resource.name}`}
        {split.resource !== null && split.reason ? `: ${split.reason}` : ""}
        {split.note ? `: ${split.note}` : ""}
      </p>
      {shown.map((backend) => (
        <Slider
          key={backend.name}
          backend={backend}
          isFixed={!mayDraft}
          onChange={(percent) => change(backend.name, percent)}
        />
      ))}
      {session.role !== "editor" && split.backends.length > 1 && (
        <p class="note">Changing it needs the role editor.</p>
      )}
      {draft === null ? (
        split.yaml !== "" && (
          <details>
            <summary>{split.note ? "The resource to be made" : "The resource as it is"}</summary>
            <pre class="code">{split.yaml}</pre>
          </details>
        )
      ) : (
        <Draft
          service={service}
          split={split}
          draft={draft}
          onDone={(written) => {
            setDraft(null);
            const { note: _, ...rest } = split;
            if (written !== null) onWritten({ ...rest, ...written, backends: draft });
          }}
        />
      )}
    </>
  );
}

function Slider(props: {
  readonly backend: Backend;
  readonly isFixed: boolean;
  readonly onChange: (percent: number) => void;
}) {
  const { backend, isFixed, onChange } = props;
  const id = useId();
  return (
    <div class="slider">
      <label for={id}>{backend.name}</label>
      <input
        id={id}
        type="range"
        min={0}
        max={100}
        step={1}
        value={backend.weight}
        disabled={isFixed}
        aria-valuetext={`${backend.weight} percent`}
        onInput={({ currentTarget }) => onChange(currentTarget.valueAsNumber)}
      />
      <output for={id}>{backend.weight} %</output>
    </div>
  );
}

interface DraftProps {
  readonly service: string;
  readonly split: Split;
  readonly draft: readonly Backend[];
  /** With what was written; null: nothing was. */
  readonly onDone: (written: Pick<Split, "revision" | "yaml"> | null) => void;
}

/** The text that would be written, and the question whether it shall be. */
function Draft({ service, split, draft, onDone }: DraftProps) {
  const { api, announce, reloadResources } = usePage();
  const [yaml, setYaml] = useState("");
  const [trouble, setTrouble] = useState("");
  const [isWriting, setWriting] = useState(false);
  const dialog = useRef<HTMLDialogElement>(null);
  // What is written must be what was shown: the revision is the one that was read when the change began.
  const [revision] = useState(split.revision);
  useEffect(() => {
    let isCurrent = true;
    setYaml("");
    const timer = setTimeout(() => {
      api.previewSplit(service, draft).then(
        (text) => isCurrent && setYaml(text),
        (error: unknown) => isCurrent && setTrouble(reasonOf(error)),
      );
    }, REST_MS);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [api, service, draft]);
  const write = async () => {
    setWriting(true);
    setTrouble("");
    try {
      const written = await api.writeSplit(service, draft, revision);
      announce(`The traffic split of ${service} was written.`);
      reloadResources();
      dialog.current?.close();
      // The next change builds on this one, though it may not have been read anew by then.
      onDone({ revision: written.revision, yaml });
    } catch (error) {
      setTrouble(reasonOf(error));
      setWriting(false);
      dialog.current?.close();
    }
  };
  return (
    <>
      <p class="note">
        {split.writable ? "This would be written" : "This is what to apply there"}; lines that
        change are marked.
      </p>
      <YamlDiff before={split.yaml} after={yaml} />
      {trouble !== "" && (
        <p class="banner banner-bad" role="alert">
          Not written: {trouble}
        </p>
      )}
      <div class="actions">
        {split.writable && (
          <button
            type="button"
            class="primary"
            disabled={yaml === ""}
            onClick={() => dialog.current?.showModal()}
          >
            Write …
          </button>
        )}
        <button type="button" onClick={() => onDone(null)}>
          Discard
        </button>
      </div>
      <dialog ref={dialog} aria-label="Write the traffic split?">
        <h2>Write the traffic split?</h2>
        <p>From now on the mesh sends requests to {service} so:</p>
        <ul>
          {draft.map(({ name, weight }) => (
            <li key={name}>
              {name}: <b>{weight} %</b>
            </li>
          ))}
        </ul>
        <div class="actions">
          <button type="button" class="primary" disabled={isWriting} onClick={() => void write()}>
            Write it
          </button>
          <button type="button" onClick={() => dialog.current?.close()}>
            Back
          </button>
        </div>
      </dialog>
    </>
  );
}

/** The new text, its lines that the old one has not at their place marked. */
function YamlDiff({ before, after }: { readonly before: string; readonly after: string }) {
  if (after === "") return <p class="empty">Loading …</p>;
  const old = before.split("\n");
  return (
    <pre class="code">
      {after.split("\n").map((line, at) => (
        <span key={at} class={old[at] === line ? "" : "changed"}>
          {line}
        </span>
      ))}
    </pre>
  );
}
