import * as z from "zod";
import { differently, honoured } from "../support.ts";
import { listOf, pathField, patternField, portTextField } from "../value-fields.ts";

const patterns = listOf(patternField);
const ports = listOf(portTextField);
const paths = listOf(pathField);
const portNote = "ports of the workload; numbers are taken beside text, 0 is refused";
const pathNote =
  "of the normalised path without query; templates with `{*}` and, once and last, `{**}` for whole segments";

export const operationField = z
  .strictObject({
    hosts: honoured(patterns, "without regard to case").optional(),
    notHosts: honoured(patterns, "without regard to case").optional(),
    ports: honoured(ports, portNote).optional(),
    notPorts: honoured(ports, portNote).optional(),
    methods: honoured(patterns, "case counts").optional(),
    notMethods: honoured(patterns, "case counts").optional(),
    paths: differently(paths, pathNote).optional(),
    notPaths: differently(paths, pathNote).optional(),
  })
  .superRefine((operation, context) => {
    if (Object.values(operation).every((list) => list === undefined)) {
      context.addIssue({
        code: "custom",
        message: "must not be empty: leave `to` out for anything",
      });
    }
  });
