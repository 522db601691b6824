import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { parse } from "yaml";
import * as z from "zod";
import { ConfigError } from "../config/config-error.ts";
import { describeIssues } from "../config/issues.ts";
import { DEFAULT_NAMESPACE, type Installation, readValues } from "../install/manifests.ts";
import { isTree, mergeValues, namespaceValue } from "../install/values.ts";
import { CliError, EXIT } from "./cli-error.ts";

/** What an installation is made of, on the command line. */
export interface InstallFlags {
  readonly namespace: string;
  readonly values?: readonly string[];
  readonly set?: readonly object[];
  readonly image?: object;
}

/** What was given, without the defaults, and what it comes to. */
export interface GivenInstallation extends Installation {
  readonly given: Readonly<Record<string, unknown>>;
}

export function addNamespaceOption(command: Command): Command {
  return command.option("-n, --namespace <name>", "namespace of the mesh", DEFAULT_NAMESPACE);
}

export function addValuesOptions(command: Command): Command {
  return addNamespaceOption(command)
    .option("-f, --values <file...>", "files of values; the later win")
    .option(
      "--set <path=value>",
      "one value, such as registry.replicas=3; may be repeated",
      collect,
    )
    .option("--image <name>", "the image: REPOSITORY[:TAG][@DIGEST]", parseImage);
}

/**
 * Reads the values: `former` below the files, these below `--set`, that below `--image`.
 * @throws CliError of wrong usage naming every value that is wrong.
 */
export function readInstallation(
  version: string,
  flags: InstallFlags,
  former: Readonly<Record<string, unknown>> = {},
): GivenInstallation {
  try {
    const layers = [
      ...(flags.values ?? []).map(readValuesFile),
      ...(flags.set ?? []),
      ...(flags.image === undefined ? [] : [{ image: flags.image }]),
    ];
    const given = layers.reduce<Readonly<Record<string, unknown>>>(
      (below, layer) => mergeValues(below, { ...layer }),
      former,
    );
    const namespace = namespaceValue.parse(flags.namespace);
    const values = readValues(version, given);
    refuseBadSettings(values);
    return { version, namespace, given, values };
  } catch (cause) {
    const message = cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause);
    throw new CliError(`these values cannot be used: ${message}`, {
      exitCode: EXIT.usage,
      remedy: "manifests/helm/hostmesh/values.yaml lists all values, with what they are for",
      cause,
    });
  }
}

/** Else a program of the cluster would find out, when it starts. */
function refuseBadSettings({ registry, daemon }: Installation["values"]): void {
  const problems = [
    ...describeIssues(registry.settings, () => "registry.settings"),
    ...describeIssues(daemon.settings, () => "daemon.settings"),
  ];
  if (problems.length > 0) throw new ConfigError(problems);
}

function readValuesFile(path: string): Readonly<Record<string, unknown>> {
  const content: unknown = parse(readFileSync(path, "utf8"));
  if (isTree(content)) return content;
  throw new Error(`${path} holds no map of values`);
}

/** `a.b=value`, the value in YAML. */
function collect(text: string, before: readonly object[] = []): readonly object[] {
  const equals = text.indexOf("=");
  const path = text.slice(0, equals).split(".");
  if (equals < 1 || path.some((key) => key === "")) {
    throw new InvalidArgumentError("Expected path.to.key=value, such as registry.replicas=3.");
  }
  try {
    const value: unknown = parse(text.slice(equals + 1));
    return [
      ...before,
      path.reduceRight<unknown>((below, key) => ({ [key]: below }), value) as object,
    ];
  } catch {
    throw new InvalidArgumentError("The value is no YAML.");
  }
}

const IMAGE =
  /^(?<repository>[^@\s]+?)(?::(?<tag>[\w][\w.-]{0,127}))?(?:@(?<digest>sha256:[0-9a-f]{64}))?$/;

/** A name of an image; a colon before a slash is the port of a registry. */
function parseImage(text: string): object {
  const { repository, tag, digest } = IMAGE.exec(text)?.groups ?? {};
  if (repository === undefined) {
    throw new InvalidArgumentError("Expected REPOSITORY[:TAG][@sha256:DIGEST].");
  }
  return {
    repository,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}
