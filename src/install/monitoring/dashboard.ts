/** Units of Grafana that the dashboards use. */
export type Unit =
  | "reqps"
  | "percentunit"
  | "s"
  | "Bps"
  | "bytes"
  | "short"
  | "none"
  | "cps"
  | "dtdurations";

export interface Query {
  readonly expr: string;
  /** Grafana's own template, as `{{destination}}`. */
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  readonly description?: string;
  readonly kind: "timeseries" | "stat" | "table";
  readonly unit: Unit;
  /** Of 24. */
  readonly width: number;
  readonly queries: readonly Query[];
  /** From where on a value is bad; `below`: the other way round. */
  readonly bad?: { readonly from: number; readonly below?: true };
}

export interface Variable {
  readonly name: string;
  readonly label: string;
  /** The metric and the label whose values can be chosen. */
  readonly metric: string;
  readonly of: string;
  readonly multiple: boolean;
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly variables: readonly Variable[];
  readonly rows: readonly Row[];
}

/** Version of Grafana's model of dashboards: that of Grafana 11. */
const SCHEMA_VERSION = 39;
const COLUMNS = 24;
const HEIGHTS = { timeseries: 8, table: 9, stat: 4 } as const;
const DATASOURCE = { type: "prometheus", uid: "$datasource" };

/** The dashboard as Grafana imports it. Panels flow from left to right; a row that is full begins a new line. */
export function grafanaJson({ uid, title, description, variables, rows }: Dashboard): object {
  return {
    uid,
    title,
    description,
    tags: ["hostmesh"],
    schemaVersion: SCHEMA_VERSION,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: "30s",
    time: { from: "now-1h", to: "now" },
    timezone: "browser",
    annotations: { list: [] },
    links: [
      {
        ...{ asDropdown: false, icon: "dashboard", includeVars: false, keepTime: true },
        ...{ tags: ["hostmesh"], targetBlank: false, title: "hostmesh", type: "dashboards" },
      },
    ],
    templating: { list: [datasource(), ...variables.map(variable)] },
    panels: place(rows),
  };
}

function datasource(): object {
  return {
    ...{ name: "datasource", label: "Data source", type: "datasource", query: "prometheus" },
    ...{ hide: 0, multi: false, includeAll: false, current: {}, options: [], refresh: 1 },
  };
}

function variable({ name, label, metric, of, multiple }: Variable): object {
  const query = `label_values(${metric}, ${of})`;
  return {
    ...{ name, label, type: "query", datasource: DATASOURCE, definition: query },
    query: { query, refId: name },
    ...{ refresh: 2, sort: 1, multi: multiple, includeAll: multiple, hide: 0 },
    ...(multiple ? { allValue: ".*" } : {}),
    ...{ current: {}, options: [], regex: "", skipUrlSync: false },
  };
}

function place(rows: readonly Row[]): object[] {
  const placed: object[] = [];
  let y = 0;
  for (const { title, panels } of rows) {
    const id = placed.length + 1;
    const gridPos = { h: 1, w: COLUMNS, x: 0, y };
    placed.push({ id, type: "row", title, collapsed: false, gridPos, panels: [] });
    y += 1;
    let x = 0;
    let height = 0;
    for (const panel of panels) {
      if (x + panel.width > COLUMNS) {
        y += height;
        x = 0;
        height = 0;
      }
      const h = HEIGHTS[panel.kind];
      placed.push(panelJson(panel, placed.length + 1, { h, w: panel.width, x, y }));
      x += panel.width;
      height = Math.max(height, h);
    }
    y += height;
  }
  return placed;
}

function panelJson(panel: Panel, id: number, gridPos: object): object {
  const { title, description, kind, unit, queries } = panel;
  return {
    ...{ id, title, type: kind, gridPos, datasource: DATASOURCE },
    ...(description === undefined ? {} : { description }),
    fieldConfig: { defaults: { unit, min: 0, ...thresholds(panel) }, overrides: [] },
    options: optionsOf(kind),
    targets: queries.map(({ expr, legend }, index) => ({
      ...{ refId: String.fromCharCode(65 + index), datasource: DATASOURCE, expr },
      legendFormat: legend,
      ...(kind === "timeseries" ? { range: true } : { instant: true, range: false }),
      ...(kind === "table" ? { format: "table" } : {}),
    })),
    ...(kind === "table" ? { transformations: [{ id: "merge", options: {} }] } : {}),
  };
}

function thresholds({ bad }: Panel): object {
  if (bad === undefined) return {};
  const [first, then] = bad.below === true ? ["red", "green"] : ["green", "red"];
  const steps = [
    { color: first, value: null },
    { color: then, value: bad.from },
  ];
  return { color: { mode: "thresholds" }, thresholds: { mode: "absolute", steps } };
}

function optionsOf(kind: Panel["kind"]): object {
  const reduceOptions = { calcs: ["lastNotNull"], fields: "", values: false };
  if (kind === "stat") return { reduceOptions, colorMode: "value", graphMode: "area" };
  if (kind === "table") return { showHeader: true, cellHeight: "sm" };
  return {
    legend: { displayMode: "table", placement: "bottom", calcs: ["lastNotNull", "max"] },
    tooltip: { mode: "multi", sort: "desc" },
  };
}
