import type { TranslationContext } from "../translator.ts";
import { serviceSchema } from "./service-fields.ts";
import { serviceTopic } from "./topics.ts";

/** The number of a Service's port by its name; null where the Service, or such a port of it, is not known. */
export function portOfService(
  context: TranslationContext,
  namespace: string,
  name: string,
  portName: string,
): number | null {
  const [found] = context.about(serviceTopic(namespace, name));
  const parsed = serviceSchema.safeParse(found?.content);
  if (!parsed.success) return null;
  return parsed.data.spec.ports.find((port) => port.name === portName)?.port ?? null;
}

/** Types of Services that are not what their name says to a route. */
export type ServiceForm = "headless" | "external-name";

/**
 * What a Service is besides a frontend with a virtual address and the endpoints behind it; null: nothing else. `spec` is
 * that of the resource, which need not be read for more than this.
 */
export function formOfService(spec: unknown): ServiceForm | null {
  if (typeof spec !== "object" || spec === null) return null;
  if (Reflect.get(spec, "type") === "ExternalName") return "external-name";
  return Reflect.get(spec, "clusterIP") === "None" ? "headless" : null;
}

/** The same of a Service by its name; null also where it is not known. */
export function formOfKnownService(
  context: TranslationContext,
  namespace: string,
  name: string,
): ServiceForm | null {
  const content: unknown = context.about(serviceTopic(namespace, name))[0]?.content;
  if (typeof content !== "object" || content === null) return null;
  return formOfService(Reflect.get(content, "spec"));
}
