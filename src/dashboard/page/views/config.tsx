import { useState } from "preact/hooks";
import { formatDate, plural } from "../model/format.ts";
import { hrefOf } from "../model/route.ts";
import type { ConfigResource } from "../net/types.ts";
import { Panel } from "../parts/common.tsx";
import { Choice, Filter } from "../parts/filter.tsx";
import { HealthMark } from "../parts/icons.tsx";
import { usePage } from "../parts/state.ts";
import { type Column, Table } from "../parts/table.tsx";

const STATUS_HEALTH = { accepted: "good", warning: "warn", refused: "bad" } as const;
const STATUS_ORDER = { refused: 0, warning: 1, accepted: 2 } as const;

const idOf = ({ kind, namespace, name }: ConfigResource) => `${kind}/${namespace}/${name}`;

const COLUMNS: readonly Column<ConfigResource>[] = [
  {
    title: "Resource",
    cell: (resource) => (
      <a class="name" href={hrefOf("config", idOf(resource))}>
        <span class="namespace">{resource.kind} </span>
        {resource.namespace}/<wbr />
        {resource.name}
      </a>
    ),
    sort: idOf,
  },
  {
    title: "Status",
    cell: ({ status }) => <HealthMark health={STATUS_HEALTH[status]} word={status} />,
    sort: ({ status }) => STATUS_ORDER[status],
  },
  {
    title: "Findings",
    cell: ({ findings }) => findings[0]?.message ?? "–",
    sort: ({ findings }) => findings.length,
    rank: 2,
  },
  {
    title: "Revision",
    cell: ({ revision }) => revision,
    sort: ({ revision }) => revision,
    isNumber: true,
    rank: 2,
  },
  {
    title: "Applied",
    cell: ({ appliedMs }) => (appliedMs === null ? "–" : formatDate(appliedMs)),
    sort: ({ appliedMs }) => appliedMs,
    rank: 1,
  },
];

/** The mesh's configuration with what its checks found. */
export function Config({ name }: { readonly name: string }) {
  const { resources, resourcesError, reloadResources } = usePage();
  if (resources === null) {
    return (
      <>
        <h1>Configuration</h1>
        <p class="empty" role="status">
          {resourcesError === "" ? "Loading …" : `It could not be loaded: ${resourcesError}.`}
        </p>
        {resourcesError !== "" && (
          <button type="button" onClick={reloadResources}>
            Try again
          </button>
        )}
      </>
    );
  }
  if (name === "") return <ResourceList resources={resources} />;
  return <Resource name={name} resource={resources.find((one) => idOf(one) === name)} />;
}

function ResourceList({ resources }: { readonly resources: readonly ConfigResource[] }) {
  const [text, setText] = useState("");
  const [status, setStatus] = useState("");
  const shown = resources.filter(
    (one) =>
      idOf(one).toLowerCase().includes(text.trim().toLowerCase()) &&
      (status === "" || one.status === status),
  );
  const statuses = [
    ["", "all"],
    ["refused", "refused"],
    ["warning", "warning"],
    ["accepted", "accepted"],
  ] as const;
  return (
    <>
      <h1>Configuration</h1>
      <div class="toolbar">
        <Filter label="Find a resource" value={text} onInput={setText} />
        <Choice label="Status" value={status} options={statuses} onChoose={setStatus} />
        <span class="note">{plural(shown.length, "resource")}</span>
      </div>
      <Panel title="All resources" class="quiet">
        <Table
          caption="Resources"
          columns={COLUMNS}
          rows={shown}
          keyOf={idOf}
          first="Status"
          empty={
            resources.length === 0
              ? "Nothing is configured: `hostmesh apply -f FILE` applies resources."
              : "No resource matches."
          }
        />
      </Panel>
    </>
  );
}

function Resource(props: { readonly name: string; readonly resource: ConfigResource | undefined }) {
  const { name, resource } = props;
  return (
    <>
      <p class="crumbs">
        <a href={hrefOf("config")}>Configuration</a>
      </p>
      <h1>
        {name}{" "}
        {resource !== undefined && (
          <HealthMark health={STATUS_HEALTH[resource.status]} word={resource.status} />
        )}
      </h1>
      {resource === undefined ? (
        <p class="empty">No resource has this name.</p>
      ) : (
        <ResourceParts resource={resource} />
      )}
    </>
  );
}

function ResourceParts({ resource }: { readonly resource: ConfigResource }) {
  const { findings, document: text, revision, appliedMs } = resource;
  return (
    <>
      <p class="note">
        Revision {revision}
        {appliedMs === null ? "" : `, applied ${formatDate(appliedMs)}`}
      </p>
      <Panel title="Validation">
        {findings.length === 0 && <HealthMark health="good" word="Nothing was found." />}
        <ul class="alerts">
          {findings.map(({ path, message, hint }) => (
            <li
              key={`${path} ${message}`}
              class={`alert alert-${resource.status === "refused" ? "bad" : "warn"}`}
            >
              <span>
                {path !== "" && <code>{path}</code>}
                <span class="detail">{message}</span>
                {hint && <span class="detail hint">Remedy: {hint}</span>}
              </span>
            </li>
          ))}
        </ul>
      </Panel>
      <Panel title="Document">
        {text === null ? (
          <p class="empty">It was refused before it could be kept.</p>
        ) : (
          <pre class="code">{typeof text === "string" ? text : JSON.stringify(text, null, 2)}</pre>
        )}
      </Panel>
    </>
  );
}
