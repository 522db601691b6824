import type { KubeApi, Selection } from "./kube-api.ts";
import { isGone } from "./kube-api-error.ts";
import type { ApiResource, KubeObject } from "./objects.ts";

/** Of client-go's pager: small enough that one answer is no burden to the server. */
const PAGE_ITEMS = 500;
/** A list whose pages grow older than the server's history this often is asked for in one piece. */
const PAGED_ATTEMPTS = 3;

export interface WholeList {
  readonly items: readonly KubeObject[];
  readonly resourceVersion: string;
}

/** All objects as of one moment, asked for in pages. Rejects as `KubeApi.list` does. */
export async function listAll(
  api: Pick<KubeApi, "list">,
  resource: ApiResource,
  selection: Selection,
  signal: AbortSignal,
): Promise<WholeList> {
  for (let attempt = 0; attempt < PAGED_ATTEMPTS; attempt++) {
    const found = await listPages(api, resource, selection, signal);
    if (found !== null) return found;
  }
  return api.list(resource, selection, signal);
}

/** Null: the moment that the first page was of is gone from the server's history. */
async function listPages(
  api: Pick<KubeApi, "list">,
  resource: ApiResource,
  selection: Selection,
  signal: AbortSignal,
): Promise<WholeList | null> {
  const items: KubeObject[] = [];
  let from = "";
  for (;;) {
    try {
      const page = await api.list(
        resource,
        { ...selection, limit: PAGE_ITEMS, continue: from },
        signal,
      );
      for (const item of page.items) items.push(item);
      if (page.continue === "") return { items, resourceVersion: page.resourceVersion };
      if (page.continue === from) throw new Error("the same page of a list came twice");
      from = page.continue;
    } catch (error) {
      if (from !== "" && isGone(error)) return null;
      throw error;
    }
  }
}
