import { compileTime, TimeFormatError } from "./strftime.ts";

/** What an operator takes in parentheses. */
type Argument = "none" | "header" | "time" | "grpc";

/**
 * Envoy's command operators that have a meaning here (Envoy's documentation, "Access logging", command operators). What
 * each is made of is in telemetry/access-log/operators.ts.
 */
export const OPERATORS = {
  START_TIME: "time",
  EMIT_TIME: "time",
  REQ: "header",
  RESP: "header",
  TRAILER: "header",
  PROTOCOL: "none",
  UPSTREAM_PROTOCOL: "none",
  RESPONSE_CODE: "none",
  RESPONSE_CODE_DETAILS: "none",
  RESPONSE_FLAGS: "none",
  CONNECTION_TERMINATION_DETAILS: "none",
  UPSTREAM_TRANSPORT_FAILURE_REASON: "none",
  BYTES_RECEIVED: "none",
  BYTES_SENT: "none",
  REQUEST_HEADERS_BYTES: "none",
  RESPONSE_HEADERS_BYTES: "none",
  DURATION: "none",
  REQUEST_DURATION: "none",
  RESPONSE_DURATION: "none",
  RESPONSE_TX_DURATION: "none",
  UPSTREAM_HOST: "none",
  UPSTREAM_REMOTE_ADDRESS: "none",
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: "none",
  UPSTREAM_REMOTE_PORT: "none",
  UPSTREAM_LOCAL_ADDRESS: "none",
  UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: "none",
  UPSTREAM_LOCAL_PORT: "none",
  UPSTREAM_CLUSTER: "none",
  UPSTREAM_CLUSTER_RAW: "none",
  UPSTREAM_REQUEST_ATTEMPT_COUNT: "none",
  UPSTREAM_PEER_URI_SAN: "none",
  DOWNSTREAM_LOCAL_ADDRESS: "none",
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: "none",
  DOWNSTREAM_LOCAL_PORT: "none",
  DOWNSTREAM_REMOTE_ADDRESS: "none",
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: "none",
  DOWNSTREAM_REMOTE_PORT: "none",
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: "none",
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: "none",
  DOWNSTREAM_DIRECT_REMOTE_PORT: "none",
  DOWNSTREAM_PEER_URI_SAN: "none",
  REQUESTED_SERVER_NAME: "none",
  ROUTE_NAME: "none",
  GRPC_STATUS: "grpc",
  GRPC_STATUS_NUMBER: "none",
  TRACE_ID: "none",
  CONNECTION_ID: "none",
  STREAM_ID: "none",
  HOSTNAME: "none",
} as const satisfies Record<string, Argument>;
export type OperatorName = keyof typeof OPERATORS;

/** Of these there is nothing behind the name that could be shown, or nothing that may be. */
const REFUSED: Readonly<Record<string, string>> = {
  ENVIRONMENT: "the environment may hold secrets",
  DYNAMIC_METADATA: "there is no such metadata here",
  CLUSTER_METADATA: "there is no such metadata here",
  UPSTREAM_METADATA: "there is no such metadata here",
  METADATA: "there is no such metadata here",
  FILTER_STATE: "there is no filter state here",
  UPSTREAM_FILTER_STATE: "there is no filter state here",
};

/** A piece of a format: a text, or an operator. */
export type FormatPart =
  | string
  | {
      readonly operator: OperatorName;
      /** The text in parentheses; "" without any. */
      readonly argument: string;
      /** Longest value in characters; 0: any. */
      readonly maxLength: number;
    };

/** A line of text, or a JSON object whose texts are such lines. */
export type LogFormat =
  | { readonly kind: "text"; readonly parts: readonly FormatPart[] }
  | { readonly kind: "json"; readonly fields: FormatFields };
export interface FormatFields {
  readonly [name: string]: readonly FormatPart[] | FormatFields;
}

/** A format that cannot be used; the message says what is wrong, and where. */
export class LogFormatError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "LogFormatError";
  }
}

const MAX_FORMAT_LENGTH = 16_384;
const MAX_DEPTH = 8;

/**
 * Istio's default (pilot/pkg/model/telemetry_logging.go, EnvoyTextLogFormat), and Envoy's own (its documentation, "Default
 * format string").
 */
export const ISTIO_FORMAT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%';
export const ENVOY_FORMAT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"';

/** Istio's default where its `accessLogEncoding` is JSON. */
const ISTIO_FIELDS: Readonly<Record<string, string>> = {
  start_time: "%START_TIME%",
  route_name: "%ROUTE_NAME%",
  method: "%REQ(:METHOD)%",
  path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
  protocol: "%PROTOCOL%",
  response_code: "%RESPONSE_CODE%",
  response_flags: "%RESPONSE_FLAGS%",
  response_code_details: "%RESPONSE_CODE_DETAILS%",
  connection_termination_details: "%CONNECTION_TERMINATION_DETAILS%",
  bytes_received: "%BYTES_RECEIVED%",
  bytes_sent: "%BYTES_SENT%",
  duration: "%DURATION%",
  upstream_service_time: "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
  x_forwarded_for: "%REQ(X-FORWARDED-FOR)%",
  user_agent: "%REQ(USER-AGENT)%",
  request_id: "%REQ(X-REQUEST-ID)%",
  authority: "%REQ(:AUTHORITY)%",
  upstream_host: "%UPSTREAM_HOST%",
  upstream_cluster: "%UPSTREAM_CLUSTER_RAW%",
  upstream_local_address: "%UPSTREAM_LOCAL_ADDRESS%",
  downstream_local_address: "%DOWNSTREAM_LOCAL_ADDRESS%",
  downstream_remote_address: "%DOWNSTREAM_REMOTE_ADDRESS%",
  requested_server_name: "%REQUESTED_SERVER_NAME%",
  upstream_transport_failure_reason: "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
};

/**
 * Reads what `telemetry.accessLogFormat` holds: `istio`, `envoy`, a text with operators, or, where it begins with a brace,
 * a JSON object of such texts. `encoding`: what the two names stand for. Throws {@link LogFormatError}.
 */
export function parseLogFormat(text: string, encoding: "json" | "text"): LogFormat {
  if (text.length > MAX_FORMAT_LENGTH) {
    throw new LogFormatError(`longer than ${MAX_FORMAT_LENGTH} characters`);
  }
  if (text === "istio" && encoding === "json") {
    return { kind: "json", fields: fieldsOf(ISTIO_FIELDS, "", 0) };
  }
  if (text === "istio") return { kind: "text", parts: partsOf(ISTIO_FORMAT) };
  if (text === "envoy") return { kind: "text", parts: partsOf(ENVOY_FORMAT) };
  if (!text.trimStart().startsWith("{")) {
    // Envoy's formats end their line themselves.
    const line = text.endsWith("\n") ? text.slice(0, -1) : text;
    return { kind: "text", parts: partsOf(line) };
  }
  return { kind: "json", fields: fieldsOf(parseJson(text), "", 0) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LogFormatError(`begins with a brace, but is no JSON: ${reason}`);
  }
}

function fieldsOf(value: unknown, path: string, depth: number): FormatFields {
  if (depth > MAX_DEPTH) throw new LogFormatError(`${path}: nested too deeply`);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new LogFormatError(`${path}: must be a text with operators, or an object of such texts`);
  }
  const fields: [string, FormatFields[string]][] = [];
  for (const [name, child] of Object.entries(value)) {
    const place = path === "" ? name : `${path}.${name}`;
    if (typeof child !== "string") fields.push([name, fieldsOf(child, place, depth + 1)]);
    else fields.push([name, within(place, () => partsOf(child))]);
  }
  return Object.fromEntries(fields);
}

function within<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof LogFormatError) throw new LogFormatError(`${place}: ${error.message}`);
    throw error;
  }
}

/** `%%`, or `%NAME`, `(ARGUMENT)`, `:LENGTH` and `%`. */
const OPERATOR = /%(?:%|([A-Z_]+)(?:\(([^)]*)\))?(?::(\d{1,6}))?%)/y;

function partsOf(text: string): FormatPart[] {
  const line = /[^\t\x20-\x7e]/.exec(text);
  if (line !== null) {
    throw new LogFormatError(
      `character ${line.index + 1} is no printable ASCII: a log line is, and has no line ends within`,
    );
  }
  const parts: FormatPart[] = [];
  let literal = "";
  for (let at = 0; at < text.length; ) {
    if (text[at] !== "%") {
      literal += text[at++];
      continue;
    }
    OPERATOR.lastIndex = at;
    const match = OPERATOR.exec(text);
    if (match === null) throw new LogFormatError(`${placeOf(text, at)} begins no operator`);
    if (match[1] === undefined) literal += "%";
    else {
      if (literal !== "") parts.push(literal);
      literal = "";
      parts.push(operatorOf(match, placeOf(text, at)));
    }
    at = OPERATOR.lastIndex;
  }
  if (literal !== "") parts.push(literal);
  return parts;
}

function placeOf(text: string, at: number): string {
  return `${JSON.stringify(text.slice(at, at + 40))} at character ${at + 1}`;
}

function operatorOf([, name = "", argument = "", length = "0"]: RegExpExecArray, place: string) {
  if (!isOperator(name)) {
    const why = Object.hasOwn(REFUSED, name) ? REFUSED[name] : "this operator is not known";
    throw new LogFormatError(`${place}: ${why}`);
  }
  checkArgument(OPERATORS[name], argument, place);
  return { operator: name, argument, maxLength: Number(length) };
}

function isOperator(name: string): name is OperatorName {
  return Object.hasOwn(OPERATORS, name);
}

const HEADER = /^:?[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:\?:?[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?$/;
export const GRPC_FORMS = ["", "CAMEL_STRING", "SNAKE_STRING", "NUMBER"] as const;

function checkArgument(kind: Argument, argument: string, place: string): void {
  if (kind === "none" && argument !== "") {
    throw new LogFormatError(`${place}: this operator takes nothing in parentheses`);
  }
  if (kind === "header" && !HEADER.test(argument)) {
    throw new LogFormatError(
      `${place}: a header's name belongs into the parentheses, or NAME?OTHER`,
    );
  }
  if (kind === "grpc" && !GRPC_FORMS.some((form) => form === argument)) {
    throw new LogFormatError(`${place}: it takes one of ${GRPC_FORMS.slice(1).join(", ")}`);
  }
  if (kind !== "time") return;
  try {
    compileTime(argument);
  } catch (error) {
    if (!(error instanceof TimeFormatError)) throw error;
    throw new LogFormatError(`${place}: ${error.message}`);
  }
}
