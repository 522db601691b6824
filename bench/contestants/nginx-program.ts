import { access } from "node:fs/promises";
import { nginxConfig } from "./nginx-config.ts";
import { findAtLeast, type Lack, type Program } from "./program.ts";

const INSTALL = "apt-get install nginx-light";
/** `ssl_conf_command` chooses the cipher, so that all peers have the same. */
const OLDEST = "1.19.4";
/** Where Debian's libnginx-mod-stream puts its module. */
const STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so";

export async function findNginx(): Promise<Program | Lack> {
  const tool = await findAtLeast("nginx", "-v", { oldest: OLDEST, install: INSTALL });
  if ("reason" in tool) return tool;
  // Debian's nginx loads it; others have it built in.
  const streamModule = await access(STREAM_MODULE).then(
    () => STREAM_MODULE,
    () => null,
  );
  return {
    ...{ peer: "nginx", version: tool.version, ending: "conf" },
    config: (plan) => nginxConfig(plan, streamModule),
    command: (file, { scratch }) => [tool.path, "-e", "stderr", "-p", scratch, "-c", file],
  };
}
