import * as z from "zod";
import { honoured } from "../support.ts";
import { listOf, patternField, subnetField } from "../value-fields.ts";

/** `NAMESPACE/ACCOUNT`, or `ACCOUNT` of the policy's namespace. */
export const accountField = z
  .string()
  .regex(
    /^([a-z0-9][a-z0-9-]{0,62}\/)?[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/,
    "must be NAMESPACE/ACCOUNT or ACCOUNT, without *",
  );

/** An identity as policies write it. */
const principalField = patternField.refine((text) => !text.startsWith("spiffe://"), {
  message: "principals are written without spiffe://",
});

const patterns = listOf(patternField);
const principals = listOf(principalField);
const subnets = listOf(subnetField);
const accounts = listOf(accountField);
const remote = "the original client, as X-Forwarded-For tells it";

export const sourceField = z
  .strictObject({
    principals: honoured(
      principals,
      "`cluster.local/` means the mesh's own trust domain",
    ).optional(),
    notPrincipals: honoured(principals, "likewise").optional(),
    requestPrincipals: honoured(patterns).optional(),
    notRequestPrincipals: honoured(patterns).optional(),
    namespaces: honoured(patterns).optional(),
    notNamespaces: honoured(patterns).optional(),
    serviceAccounts: honoured(accounts, "exactly").optional(),
    notServiceAccounts: honoured(accounts, "exactly").optional(),
    trustDomains: honoured(patterns).optional(),
    notTrustDomains: honoured(patterns).optional(),
    ipBlocks: honoured(subnets, "the peer that connected").optional(),
    notIpBlocks: honoured(subnets, "likewise").optional(),
    remoteIpBlocks: honoured(subnets, remote).optional(),
    notRemoteIpBlocks: honoured(subnets, "likewise").optional(),
  })
  .superRefine((source, context) => {
    const given = Object.keys(source).filter((name) => source[name as keyof typeof source]);
    if (given.length === 0) {
      context.addIssue({
        code: "custom",
        message: "must not be empty: leave `from` out for anybody",
      });
    }
    const account = given.find((name) => /serviceAccounts$/i.test(name));
    if (
      account !== undefined &&
      given.some((name) => /^(not)?(principals|namespaces)$/i.test(name))
    ) {
      const message = "cannot stand beside principals or namespaces";
      context.addIssue({ code: "custom", path: [account], message });
    }
  });
