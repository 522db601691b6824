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
