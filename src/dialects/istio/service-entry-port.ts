import * as z from "zod";
import type { ServicePort } from "../../core/model.ts";
import { appProtocolOf, protocolOfPortName } from "../kubernetes/app-protocol.ts";
import { differently, honoured } from "../support.ts";
import { portField } from "../value-fields.ts";

const NAMES = "HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, MONGO, MYSQL, REDIS, TCP and TLS";

const portEntry = z.strictObject({
  number: honoured(portField),
  name: honoured(
    z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i, "must be the name of a port"),
  ),
  protocol: differently(
    z.string().refine((text) => appProtocolOf(text) !== null, {
      error: ({ input }) =>
        input === "UDP" ? "UDP is refused: it is not carried by the mesh" : `known: ${NAMES}`,
    }),
    `${NAMES}; absent: what the name begins with, else it is found out`,
  ).optional(),
  targetPort: honoured(portField, "of the endpoints; default: `number`").optional(),
});

/** The ports of a ServiceEntry. */
export const entryPortsField = z
  .array(portEntry)
  .min(1, "must name a port")
  .max(64)
  .superRefine((ports, context) => {
    const seen = new Set<string | number>();
    for (const [index, { name, number }] of ports.entries()) {
      for (const [field, value] of Object.entries({ name, number })) {
        const message = `${value} is given twice`;
        if (seen.has(value)) context.addIssue({ code: "custom", path: [index, field], message });
        seen.add(value);
      }
    }
  });

export type EntryPort = z.infer<typeof portEntry>;

export function toServicePort({ name, number, protocol }: EntryPort): ServicePort {
  const found = protocol === undefined ? protocolOfPortName(name) : appProtocolOf(protocol);
  return { name, port: number, ...(found === null ? {} : { protocol: found }) };
}
