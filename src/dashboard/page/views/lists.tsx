import { useMemo, useState } from "preact/hooks";
import { plural } from "../model/format.ts";
import { Panel } from "../parts/common.tsx";
import { Filter, NamespaceChoice } from "../parts/filter.tsx";
import { usePage } from "../parts/state.ts";
import { Table } from "../parts/table.tsx";
import { hostColumns, ServiceTable } from "./overview.tsx";

/** All services, to find one. */
export function Services() {
  const { report } = usePage();
  const [text, setText] = useState("");
  const [namespace, setNamespace] = useState("");
  const shown = useMemo(
    () =>
      report.services.filter(
        ({ service }) =>
          service.includes(text.trim()) &&
          (namespace === "" || service.startsWith(`${namespace}/`)),
      ),
    [report, text, namespace],
  );
  return (
    <>
      <h1>Services</h1>
      <div class="toolbar">
        <Filter label="Find a service" value={text} onInput={setText} />
        <NamespaceChoice value={namespace} onChoose={setNamespace} />
        <span class="note">{plural(shown.length, "service")}</span>
      </div>
      <Panel title="All services" class="quiet">
        <ServiceTable
          services={shown}
          caption="Services"
          first="Service"
          empty={text === "" ? "The registry knows no service." : "No service is named so."}
        />
      </Panel>
    </>
  );
}

/** All hosts. */
export function Hosts() {
  const { report } = usePage();
  return (
    <>
      <h1>Hosts</h1>
      <Panel title="All hosts" class="quiet">
        <Table
          caption="Hosts"
          columns={hostColumns(report.revision)}
          rows={report.hosts}
          keyOf={({ host }) => host}
          first="Host"
          empty="No host has joined yet: `hostmesh daemon` on a host joins it."
        />
      </Panel>
    </>
  );
}
