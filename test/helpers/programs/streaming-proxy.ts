/** One worker's data path with the service `web`, whose endpoint has the port that is given. Prints its port. */
import { endpoint, planeLab, service } from "../plane.ts";

const lab = await planeLab({ keepFacts: false });
lab.services(service("web", [endpoint(Number(process.argv[2]))]));
process.stdout.write(`${lab.port}\n`);
