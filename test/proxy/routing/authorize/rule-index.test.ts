import assert from "node:assert/strict";
import { test } from "node:test";
import type { AuthorizationRule } from "../../../../src/core/policy.ts";
import { seeded } from "../../../../src/core/random.ts";
import { Facts } from "../../../../src/proxy/routing/authorize/facts.ts";
import { RuleCompiler, ruleMatches } from "../../../../src/proxy/routing/authorize/rule.ts";
import { RuleIndex } from "../../../../src/proxy/routing/authorize/rule-index.ts";
import { rememberToken } from "../../../../src/proxy/routing/authorize/token-facts.ts";
import { PrefixTree } from "../../../../src/proxy/routing/text/prefix-tree.ts";
import { head, request } from "./fixtures.ts";

const random = seeded(7);
const below = (end: number) => Math.floor(random() * end);
const oneOf = <Value>(values: readonly Value[]): Value => values[below(values.length)]!;
const some = <Value>(make: () => Value, most = 3): Value[] =>
  Array.from({ length: 1 + below(most) }, make);

const word = () => some(() => oneOf(["a", "b", "ab"]), 4).join("");
const pattern = () => oneOf([word(), `${word()}*`, `*${word()}`, "*"]);
const path = () => `/${some(word).join("/")}`;
const address = () => oneOf(["10.0.0.1", "10.1.0.1", "10.1.2.3", "fd00::1", "fd00:1::2", "::1"]);
const block = () =>
  oneOf([address(), "10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "fd00::/8", "fd00:1::/32"]);
const principal = () => `td/ns/${word()}/sa/${word()}`;

/** More of either kind than are asked for one by one, and some that come from elsewhere than the fields. */
const HEADERS = [
  ...Array.from({ length: 20 }, (_, number) => `x${number}`),
  ...["host", ":authority", ":method", ":path", "guarded"],
];
const CLAIMS = Array.from({ length: 40 }, (_, number) => {
  const name = `g${number >> 1}`;
  return number % 2 === 0 ? [name] : ["n", name, ...(number % 3 === 0 ? ["a"] : [])];
});

function clause(): object {
  return oneOf([
    { namespaces: some(pattern) },
    { principals: some(() => oneOf([principal(), "td/ns/a*", "*a", "*"])) },
    { ipBlocks: some(block) },
    { namespaces: some(pattern), notIpBlocks: some(block) },
    { notNamespaces: some(pattern) },
    { notRequestPrincipals: some(() => oneOf(["i/a", "i/a*", "*b"])) },
    { requestPrincipals: some(() => oneOf(["i/a", "i/*", "*/ab", "*b", "i*", "*"])) },
  ]);
}

function operation(): object {
  const template = () => oneOf([`${path()}/{*}`, `/{*}${path()}`, `${path()}/{**}`]);
  return oneOf([
    { paths: some(() => oneOf([path(), `${path()}*`, `*${path()}`, template()])) },
    { methods: ["GET"], paths: some(path) },
    { ports: some(() => below(3)) },
    { hosts: some(pattern) },
    { notPaths: some(() => oneOf([path(), `${path()}*`, template()])) },
    {
      pathRegexes: some(() =>
        oneOf([`${path()}.*`, `(?:${path()})(?s:.*)`, `${path()}|${path()}`, `.*${path()}`]),
      ),
    },
    { headerRegexes: { [oneOf(HEADERS)]: `${word()}.*` } },
    { methods: some(() => oneOf(["GET", "P*"])), notHosts: some(pattern) },
  ]);
}

function anyRule(): AuthorizationRule {
  const maybe = <Value>(make: () => Value): Value[] => (random() < 0.6 ? some(make, 2) : []);
  return {
    from: maybe(clause),
    to: maybe(operation),
    when: maybe(() => ({
      key: oneOf([
        `request.headers[${oneOf(HEADERS)}]`,
        "connection.sni",
        `request.auth.claims[${oneOf(CLAIMS).join("][")}]`,
        "source.namespace",
        "remote.ip",
      ]),
      values: [],
      notValues: [],
    })).map(({ key }) => {
      const values = some(key === "remote.ip" ? block : pattern);
      return random() < 0.7
        ? { key, values, notValues: [] }
        : { key, values: [], notValues: values };
    }),
  };
}

function anyRequest() {
  const of = head(`${oneOf(["GET", "PUT"])} ${path()} HTTP/1.1`, [
    `Host: ${word()}${oneOf(["", ":80", "."])}`,
    ...(random() < 0.8 ? some(() => `${oneOf(["x", "X"])}${below(20)}: ${word()}`, 12) : []),
    ...(random() < 0.3 ? [`Guarded: ${word()}`] : []),
  ]);
  return request({
    head: of,
    principal: oneOf([principal(), ""]),
    sourceAddress: address(),
    remoteAddress: address(),
    destinationPort: below(3),
    sni: oneOf(["", word()]),
    claims: oneOf([null, anyClaims()]),
  });
}

/** Strings, lists and objects, with few names and with many, and perhaps a header that the token puts in. */
function anyClaims() {
  const values = () =>
    Object.fromEntries(
      some(() => [`g${below(20)}`, oneOf([word(), some(word), { a: word() }, 1, null])], 30),
    );
  const claims = { iss: "i", sub: word(), ...values(), n: oneOf([word(), values(), [values()]]) };
  if (random() < 0.5) rememberToken(claims, new Map([["guarded", word()]]));
  return claims;
}

for (const many of [0, 5, 24]) {
  test(`the index finds exactly the rules that match, sorting out from ${many} candidates on`, () => {
    const compiler = new RuleCompiler("td");
    const facts = new Facts();
    let found = 0;
    for (let round = 0; round < 60; round++) {
      const entries = Array.from({ length: 1 + below(100) }, (_, owner) => ({
        rule: compiler.compile(anyRule()),
        owner,
      }));
      const index = new RuleIndex(entries, many);
      for (let asked = 0; asked < 60; asked++) {
        facts.load(anyRequest(), new Set(["guarded"]));
        const expected = entries.filter(({ rule }) => ruleMatches(rule, facts));
        const owners = expected.map(({ owner }) => owner);
        assert.deepEqual(
          [...index.findAll(facts)].sort((a, b) => a - b),
          owners,
        );
        assert.equal(index.findFirst(facts), owners[0] ?? null);
        const any = index.find(facts);
        assert.ok(any === null ? owners.length === 0 : owners.includes(any));
        found += owners.length;
      }
    }
    assert.ok(found > 1_000);
  });
}

for (const direction of ["forwards", "backwards"] as const) {
  test(`a prefix tree ${direction} finds all texts that a text begins or ends with`, () => {
    for (let round = 0; round < 200; round++) {
      const tree = new PrefixTree<string>(direction);
      const stored = new Set(some(() => oneOf(["", word(), word()]), 12));
      for (const text of stored)
        assert.equal(
          tree.at(text, () => text),
          text,
        );
      for (let asked = 0; asked < 20; asked++) {
        const text = word();
        const fits = (part: string) =>
          direction === "forwards" ? text.startsWith(part) : text.endsWith(part);
        const into: string[] = [];
        tree.collect(text, into);
        assert.deepEqual(into.sort(), [...stored].filter(fits).sort());
      }
    }
  });
}
