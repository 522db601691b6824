/**
 * How the traffic was secured. `mutual_tls`: between hosts, both proved; `same_host`: never left this host, whose kernel
 * vouches for the caller; the others went in the clear, and say why: `disabled` a policy asks for it, `no_identity` this
 * host has no certificate (yet), `not_in_mesh` the other end is no host or workload of the mesh, `passthrough` the mesh
 * does not know the destination, `unknown_caller` it came from outside of the mesh.
 */
export const SECURITIES = [
  "mutual_tls",
  "same_host",
  "disabled",
  "no_identity",
  "not_in_mesh",
  "passthrough",
  "unknown_caller",
] as const;
export type Security = (typeof SECURITIES)[number];
