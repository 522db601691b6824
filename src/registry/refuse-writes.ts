import { RegistryError } from "./registry-error.ts";
import type { Route } from "./route.ts";

/** The routes of a registry that has a source: what that brings is changed there. */
export function refuseWrites(routes: readonly Route[], place: string): Route[] {
  const handle = () => {
    throw new RegistryError(409, `this registry reads ${place}`);
  };
  return routes.map((route) => (route.writesState ? { ...route, handle } : route));
}
