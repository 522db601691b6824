import { useState } from "preact/hooks";
import { reasonOf } from "../net/page-data.ts";

/** The token goes in the body of one request and is kept nowhere: what comes back is a cookie that no script can read. */
export function Login({ onLogin }: { readonly onLogin: (token: string) => Promise<void> }) {
  const [token, setToken] = useState("");
  const [trouble, setTrouble] = useState("");
  const [isBusy, setBusy] = useState(false);
  const submit = async () => {
    setBusy(true);
    setTrouble("");
    try {
      await onLogin(token);
    } catch (error) {
      setTrouble(reasonOf(error));
    }
    setToken("");
    setBusy(false);
  };
  return (
    <main class="login" id="content" tabIndex={-1}>
      <h1>hostmesh</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <label for="token">Token</label>
        <input
          id="token"
          name="token"
          type="password"
          autocomplete="current-password"
          required
          value={token}
          aria-describedby="token-help"
          onInput={({ currentTarget }) => setToken(currentTarget.value)}
        />
        <p class="note" id="token-help">
          `hostmesh dashboard user NAME` on the registry's host makes one.
        </p>
        {trouble !== "" && (
          <p class="banner banner-bad" role="alert">
            {trouble}
          </p>
        )}
        <button type="submit" class="primary" disabled={isBusy}>
          Log in
        </button>
      </form>
    </main>
  );
}
