import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Command } from "commander";
import { parseSpiffeId } from "../../core/identity.ts";
import { readCertificate } from "../../identity/certificate-fields.ts";
import { splitPem } from "../../identity/pem.ts";
import { CliError } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { issuedList } from "../identity-records.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printData } from "../print-data.ts";
import { readRegistry } from "../registry.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

/** `hostmesh identity inspect`. */
export function identityInspectCommand(output: TerminalOutput): Command {
  const command = new Command("inspect")
    .summary("show what a certificate says")
    .description(
      "Decodes certificates: those of a PEM file, or those that the registry has given to an identity.",
    )
    .argument("<identity-or-file>", "a SPIFFE ID, or a PEM file")
    .action(async (named: string, flags: FormatFlag & SettingsFlags) => {
      const pems = named.startsWith("spiffe:")
        ? await issuedTo(named, flags)
        : await certificatesOf(named);
      const data = pems.map(describe);
      printData(output, flags.output, data, () => ({
        columns: [{ title: "FIELD" }, { title: "VALUE", minWidth: 20 }],
        rows: data.flatMap((facts) =>
          Object.entries(facts).map(([field, value]) => [field, String(value)]),
        ),
        empty: "",
      }));
    });
  addSettingsOptions(addOutputOption(command), ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh identity inspect spiffe://cluster.local/ns/default/sa/web",
      "hostmesh identity inspect /var/lib/hostmesh/identity/host.pem",
    ],
  });
}

async function issuedTo(identity: string, flags: SettingsFlags): Promise<string[]> {
  if (parseSpiffeId(identity) === null) {
    throw new CliError(`${identity} is no SPIFFE ID of the form spiffe://DOMAIN/ns/NS/sa/ACCOUNT`);
  }
  const path = `/v1/identity/issued?identity=${encodeURIComponent(identity)}`;
  const found = await readRegistry(readSettings(flags), path, issuedList);
  if (found.length === 0) {
    throw new CliError(`no certificate of ${identity} is in force`, {
      remedy: "hostmesh identity list shows what is",
    });
  }
  return found.flatMap(({ certificate }) => certificate ?? []);
}

async function certificatesOf(path: string): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    const { code = "unreadable" } = cause as NodeJS.ErrnoException;
    throw new CliError(`${path} cannot be read (${code})`, { cause });
  }
  const pems = splitPem("CERTIFICATE", text);
  if (pems.length > 0) return pems;
  throw new CliError(`${path} holds no PEM certificate`);
}

function describe(pem: string) {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch (cause) {
    throw new CliError("a certificate cannot be read", { cause });
  }
  const { fault, uris, isAuthority, pathLength } = readCertificate(certificate);
  const { subject, issuer, serialNumber, validFromDate, validToDate, publicKey } = certificate;
  return {
    identity: uris.join(" ") || "none",
    subject: oneLine(subject),
    issuer: oneLine(issuer),
    serial: serialNumber.toLowerCase(),
    notBefore: validFromDate.toISOString(),
    notAfter: validToDate.toISOString(),
    authority: isAuthority ? `yes, path length ${pathLength ?? "unlimited"}` : "no",
    key: publicKey.asymmetricKeyDetails?.namedCurve ?? publicKey.asymmetricKeyType ?? "unknown",
    sha256: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    ...(fault === null ? {} : { fault }),
  };
}

/** Node's form of a name has a line for each part; a missing one is undefined. */
function oneLine(name: string | undefined): string {
  return name === undefined || name === "" ? "none" : name.replaceAll("\n", ", ");
}
