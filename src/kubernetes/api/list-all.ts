import type { KubeApi, Selection } from "./kube-api.ts";
import { isGone } from "./kube-api-error.ts";
import type { ApiResource, KubeObject } from "./objects.ts";
import { TooLongError } from "./too-long-error.ts";

/** Of client-go's pager: small enough that one answer is no burden to the server. */
const PAGE_ITEMS = 500;
/** A page that is too long is asked for again with so much fewer objects; each that is not lets the next be twice as large. */
const SHRINK = 4;
const GROW = 2;
/** A list whose pages grow older than the server's history this often is asked for in one piece. */
const PAGED_ATTEMPTS = 3;

export interface WholeList {
  readonly items: readonly KubeObject[];
  readonly resourceVersion: string;
}

/** All objects as of one moment, asked for in pages, which are the smaller the larger the objects. Rejects as `KubeApi.list` does. */
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
  let limit = PAGE_ITEMS;
  for (;;) {
    try {
      const page = await api.list(resource, { ...selection, limit, continue: from }, signal);
      for (const item of page.items) items.push(item);
      if (page.continue === "") return { items, resourceVersion: page.resourceVersion };
      if (page.continue === from) throw new Error("the same page of a list came twice");
      from = page.continue;
      limit = Math.min(limit * GROW, PAGE_ITEMS);
    } catch (error) {
      if (from !== "" && isGone(error)) return null;
      limit = fewerAfter(error, limit);
    }
  }
}

/** How many objects to ask for instead. Throws what fewer would not help against. */
function fewerAfter(error: unknown, limit: number): number {
  if (!(error instanceof TooLongError) || limit === 1) throw error;
  return Math.max(1, Math.floor(limit / SHRINK));
}
