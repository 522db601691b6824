import * as z from "zod";
import { address, ms, port } from "./setting-fields.ts";

export const dashboard = z
  .strictObject({
    enabled: z
      .enum(["on", "off"])
      .default("on")
      .describe("Does the registry (hostmesh registry, hostmesh up) serve the dashboard?"),
    bind: address()
      .default("127.0.0.1")
      .describe(
        "Address of the dashboard. Beyond loopback it needs usersFile, tlsCertFile and tlsKeyFile, and the registry does not start without them.",
      ),
    port: port(
      15_013,
      "Port of the dashboard; 0: any free one. A port that is taken is warned of, and the registry serves without the dashboard.",
    ),
    usersFile: z
      .string()
      .default("")
      .describe(
        "Who may log in: lines that hostmesh dashboard user prints, below `users:`. Read anew when it changes. Empty: whoever reaches the dashboard may change the mesh, as on the registry's plain port; on loopback only.",
      ),
    tlsCertFile: z
      .string()
      .default("")
      .describe(
        "PEM of the dashboard's certificate, with its chain. Read anew when it changes. The registry's own names no host, so that no browser takes it.",
      ),
    tlsKeyFile: z.string().default("").describe("PEM of that certificate's key."),
    sessionIdleMs: ms(
      1_800_000,
      "A login ends when it was not used for so long. A page that is open uses it.",
    ),
    sessionMaxMs: ms(43_200_000, "A login ends after so long, used or not."),
  })
  .prefault({})
  .describe("The dashboard, served by the registry.");
