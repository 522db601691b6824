import assert from "node:assert/strict";
import { test } from "node:test";
import { HpackDecoder } from "../../../../src/http/h2/hpack/decoder.ts";
import { IntegerReader, writeInteger } from "../../../../src/http/h2/hpack/integers.ts";
import { decode, LIMITS, sizeUpdate, tableOf } from "./blocks.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");

/** RFC 7541 appendix C.1. */
const INTEGERS: readonly (readonly [section: string, prefix: number, value: number, as: string])[] =
  [
    ["C.1.1", 5, 10, "0a"],
    ["C.1.2", 5, 1337, "1f 9a 0a"],
    ["C.1.3", 8, 42, "2a"],
  ];

for (const [section, prefix, value, as] of INTEGERS) {
  test(`${section}: writes and reads the integer ${value} with a prefix of ${prefix} bits`, () => {
    const mask = 2 ** prefix - 1;
    const out = Buffer.alloc(8);
    const end = writeInteger(out, 0, 0, mask, value);
    assert.deepEqual(out.subarray(0, end), hex(as));
    const reader = new IntegerReader();
    reader.reset(out, 0, end);
    assert.equal(reader.read(mask), value);
    assert.equal(reader.at, end);
  });
}

/** RFC 7541 appendix C.2: block, field, and what is in the table then. */
const FIELDS: readonly (readonly [
  section: string,
  block: string,
  field: string[],
  table: string[],
])[] = [
  [
    "C.2.1",
    "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
    ["custom-key", "custom-header"],
    ["custom-key: custom-header"],
  ],
  ["C.2.2", "040c 2f73 616d 706c 652f 7061 7468", [":path", "/sample/path"], []],
  ["C.2.3", "1008 7061 7373 776f 7264 0673 6563 7265 74", ["password", "secret"], []],
  ["C.2.4", "82", [":method", "GET"], []],
];

for (const [section, block, field, table] of FIELDS) {
  test(`${section}: decodes the representation`, () => {
    const decoder = new HpackDecoder(LIMITS);
    assert.deepEqual(decode(decoder, hex(block)), field);
    assert.deepEqual(tableOf(decoder), table);
  });
}

const REQUESTS: readonly string[][] = [
  [":method", "GET", ":scheme", "http", ":path", "/", ":authority", "www.example.com"],
  [
    ...[":method", "GET", ":scheme", "http", ":path", "/", ":authority", "www.example.com"],
    ...["cache-control", "no-cache"],
  ],
  [
    ...[":method", "GET", ":scheme", "https", ":path", "/index.html"],
    ...[":authority", "www.example.com", "custom-key", "custom-value"],
  ],
];
const REQUEST_TABLES: readonly string[][] = [
  [":authority: www.example.com"],
  ["cache-control: no-cache", ":authority: www.example.com"],
  ["custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"],
];

const DATE_21 = "Mon, 21 Oct 2013 20:13:21 GMT";
const DATE_22 = "Mon, 21 Oct 2013 20:13:22 GMT";
const COOKIE = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const LOCATION = "https://www.example.com";
const RESPONSES: readonly string[][] = [
  [":status", "302", "cache-control", "private", "date", DATE_21, "location", LOCATION],
  [":status", "307", "cache-control", "private", "date", DATE_21, "location", LOCATION],
  [
    ...[":status", "200", "cache-control", "private", "date", DATE_22, "location", LOCATION],
    ...["content-encoding", "gzip", "set-cookie", COOKIE],
  ],
];
const RESPONSE_TABLES: readonly string[][] = [
  [`location: ${LOCATION}`, `date: ${DATE_21}`, "cache-control: private", ":status: 302"],
  [":status: 307", `location: ${LOCATION}`, `date: ${DATE_21}`, "cache-control: private"],
  [`set-cookie: ${COOKIE}`, "content-encoding: gzip", `date: ${DATE_22}`],
];

/** The three blocks of a section, which share one table. */
interface Section {
  readonly name: string;
  readonly blocks: readonly string[];
  readonly lists: readonly string[][];
  readonly tables: readonly string[][];
  readonly tableBytes: number;
}

const SECTIONS: readonly Section[] = [
  {
    name: "C.3: requests without Huffman coding",
    blocks: [
      "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "8286 84be 5808 6e6f 2d63 6163 6865",
      "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ],
    lists: REQUESTS,
    tables: REQUEST_TABLES,
    tableBytes: 4_096,
  },
  {
    name: "C.4: requests with Huffman coding",
    blocks: [
      "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
      "8286 84be 5886 a8eb 1064 9cbf",
      "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ],
    lists: REQUESTS,
    tables: REQUEST_TABLES,
    tableBytes: 4_096,
  },
  {
    name: "C.5: responses without Huffman coding, with eviction",
    blocks: [
      `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
       2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
       6c65 2e63 6f6d`,
      "4803 3330 37c1 c0bf",
      `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
       54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
       5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
       3d31`,
    ],
    lists: RESPONSES,
    tables: RESPONSE_TABLES,
    tableBytes: 256,
  },
  {
    name: "C.6: responses with Huffman coding, with eviction",
    blocks: [
      `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
       2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
      "4883 640e ffc1 c0bf",
      `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
       77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
       9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
    ],
    lists: RESPONSES,
    tables: RESPONSE_TABLES,
    tableBytes: 256,
  },
];

for (const { name, blocks, lists, tables, tableBytes } of SECTIONS) {
  test(`${name}: decodes the lists and leaves the tables of the appendix`, () => {
    for (let last = 0; last < blocks.length; last++) {
      // Looking at the table ends a decoder, so that each state is reached anew.
      const decoder = new HpackDecoder(LIMITS);
      if (tableBytes !== LIMITS.tableBytes) decode(decoder, sizeUpdate(tableBytes));
      for (let at = 0; at <= last; at++) {
        assert.deepEqual(decode(decoder, hex(blocks[at]!)), lists[at]);
      }
      assert.deepEqual(tableOf(decoder), tables[last]);
    }
  });
}
