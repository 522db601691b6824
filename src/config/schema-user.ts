import * as z from "zod";

/** The setting `user`. */
export const user = z
  .string()
  .regex(/^(?:[1-9]\d{0,9}:[1-9]\d{0,9})?$/, "UID:GID, both numbers above 0")
  .default("")
  .describe(
    "UID:GID of the data path of a daemon that root starts: then only the guardian, which no byte of the traffic reaches, has a privilege. Empty: the data path runs as the daemon. The user must be able to read the files that `identity` names.",
  );
