import type { Row } from "./dashboard.ts";
import { chart, query, RANGE } from "./panels.ts";

/** The registry, as it sees itself. */
export const REGISTRY_ROW: Row = {
  title: "Registry",
  panels: [
    chart(
      "Daemons by how they follow",
      "short",
      8,
      query("sum by (state) (hostmesh_registry_daemons)", "{{state}}"),
    ),
    chart("Newest revision", "short", 8, query("hostmesh_registry_revision", "{{instance}}")),
    chart(
      "Leads, follows its source",
      "none",
      8,
      query("hostmesh_registry_leader", "{{instance}} leads"),
      query("hostmesh_registry_source_synced", "{{instance}} follows {{source}}"),
    ),
    chart(
      "Requests by status",
      "reqps",
      8,
      query(
        `sum by (port, code) (rate(hostmesh_registry_requests_total[${RANGE}]))`,
        "{{port}} {{code}}",
      ),
    ),
    chart(
      "Commit, p99",
      "s",
      8,
      query(
        `histogram_quantile(0.99, sum by (le) (rate(hostmesh_registry_commit_duration_seconds_bucket[${RANGE}])))`,
        "p99",
      ),
    ),
    chart(
      "Authority expires in",
      "s",
      8,
      query("hostmesh_registry_authority_expiry_seconds", "{{instance}}"),
    ),
    chart(
      "Certificates issued",
      "cps",
      8,
      query(`sum(rate(hostmesh_registry_certificates_issued_total[${RANGE}]))`, "issued"),
    ),
    chart(
      "Questions to daemons",
      "cps",
      8,
      query(
        `sum by (kind, result) (rate(hostmesh_registry_questions_total[${RANGE}]))`,
        "{{kind}} {{result}}",
      ),
    ),
    chart(
      "Resources",
      "short",
      8,
      query("max by (kind, state) (hostmesh_registry_resources)", "{{kind}} {{state}}"),
    ),
  ],
};
