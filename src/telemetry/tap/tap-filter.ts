import type { RequestFacts } from "../../core/facts.ts";
import { endedBadly } from "../../core/grpc.ts";
import { keyOf } from "../../core/model.ts";
import type { TapFilter } from "../../sight/tap-event.ts";
import { originForm } from "../access-log/header-fields.ts";

type Test = (facts: Readonly<RequestFacts>) => boolean;

/** Compiles a filter once: what it does not speak of costs nothing. */
export function compileFilter(filter: TapFilter): Test {
  const { source, destination, method, pathPrefix, authority, status, failed } = filter;
  const tests: Test[] = [];
  if (source !== undefined) {
    tests.push((facts) => facts.source !== null && keyOf(facts.source) === source);
  }
  if (destination !== undefined) tests.push(({ service }) => service?.key === destination);
  if (status !== undefined) tests.push(statusTest(status));
  if (failed === true) tests.push(endedBadly);
  if (method !== undefined) tests.push((facts) => facts.method === method);
  if (authority !== undefined) {
    const wanted = authority.toLowerCase();
    tests.push((facts) => facts.authority.toLowerCase() === wanted);
  }
  if (pathPrefix !== undefined) {
    // Without the query, whose values could else be guessed letter by letter.
    const pathOf = (target: string) => originForm(target).split("?", 1)[0] ?? "";
    tests.push(({ target }) => pathOf(target).startsWith(pathPrefix));
  }
  return (facts) => {
    for (const test of tests) if (!test(facts)) return false;
    return true;
  };
}

function statusTest(status: string): Test {
  if (!status.endsWith("xx")) {
    const wanted = Number(status);
    return (facts) => facts.status === wanted;
  }
  const hundreds = Number(status[0]);
  return (facts) => Math.trunc(facts.status / 100) === hundreds;
}
