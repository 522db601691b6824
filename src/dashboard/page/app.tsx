import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { parseRoute, type Route } from "./model/route.ts";
import { Api, ApiError } from "./net/api.ts";
import { reasonOf } from "./net/page-data.ts";
import type { Session } from "./net/types.ts";
import { Page } from "./page.tsx";
import { Waiting } from "./parts/waiting.tsx";
import { Login } from "./views/login.tsx";

type Start =
  | { readonly is: "loading" }
  | { readonly is: "failed"; readonly reason: string }
  | { readonly is: "there"; readonly session: Session };

/** Who is there, and where in the page. */
export function App() {
  const api = useMemo(() => new Api(), []);
  const [start, setStart] = useState<Start>({ is: "loading" });
  const route = useRoute();
  const load = useCallback(async () => {
    try {
      setStart({ is: "there", session: await api.session() });
    } catch (error) {
      setStart({ is: "failed", reason: reasonOf(error) });
    }
  }, [api]);
  useEffect(() => void load(), [load]);
  if (start.is === "loading") return <Waiting words="Loading …" />;
  if (start.is === "failed") {
    return (
      <Waiting words={`The registry does not answer: ${start.reason}.`}>
        <button type="button" onClick={() => void load()}>
          Try again
        </button>
      </Waiting>
    );
  }
  const { session } = start;
  if (session.role === null) {
    return <Login onLogin={(token) => login(api, token, load)} />;
  }
  return <Page api={api} session={session} route={route} onSession={load} />;
}

async function login(api: Api, token: string, load: () => Promise<void>): Promise<void> {
  try {
    await api.login(token);
  } catch (error) {
    if (error instanceof ApiError && error.status === 401)
      throw new Error("Nobody has this token.");
    throw error;
  }
  await load();
}

function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const onChange = () => setRoute(parseRoute(location.hash));
    window.addEventListener("hashchange", onChange);
    return () => window.removeEventListener("hashchange", onChange);
  }, []);
  return route;
}
