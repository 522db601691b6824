/**
 * The style sheet of the report. Colours of programs have a contrast of 4.5 or more with the page in light and in dark, so
 * that text may have them too.
 */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --text: #1c2128; --soft: #57606a; --rule: #d0d7de; --grid: #e6e9ed;
  --band: #e3eefb; --link: #0a58b5; --warn: #8a4600; --warn-back: #fff4e0;
  --hostmesh: #0a5cc2; --nginx: #147033; --haproxy: #a84300; --envoy: #7a3fc9; --direct: #57606a;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #0f1318; --card: #171c23; --text: #e6eaf0; --soft: #a3adb9; --rule: #39424e; --grid: #272e38;
    --band: #1b2b40; --link: #7cb8ff; --warn: #ffc16b; --warn-back: #33260f;
    --hostmesh: #6cb2ff; --nginx: #5fd07a; --haproxy: #ff9a57; --envoy: #cda2ff; --direct: #a3adb9;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif; overflow-wrap: anywhere; }
main, header, footer { max-width: 1200px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 32px; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 8px; }
h2 { font-size: 1.3rem; margin: 40px 0 8px; }
h3 { font-size: 1rem; margin: 20px 0 6px; } .panel h3 { margin-top: 0; }
details { margin: 12px 0; } summary { font-weight: 600; cursor: pointer; padding: 4px 0; margin-bottom: 6px; }
p { margin: 0 0 12px; max-width: 78ch; }
a { color: var(--link); }
.soft, figcaption, .lead { color: var(--soft); }
nav ul { display: flex; flex-wrap: wrap; gap: 4px 18px; padding: 0; margin: 12px 0; list-style: none; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, "Liberation Mono", monospace; font-size: 0.875em; }
pre { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 10px 12px; margin: 0 0 12px; white-space: pre-wrap; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 210px), 1fr)); gap: 12px; margin: 12px 0; padding: 0; list-style: none; }
.tiles li, .panel { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 12px 14px; margin: 0; }
.tiles b { display: block; font-size: 1.45rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tiles span { color: var(--soft); font-size: 0.875rem; }
.warning { background: var(--warn-back); border: 1px solid var(--warn); border-radius: 10px; padding: 10px 14px; margin: 12px 0; }
.warning ul, .plain { margin: 4px 0; padding-left: 20px; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 350px), 1fr)); gap: 16px; margin: 12px 0 20px; align-items: start; }
.panels > .panel:only-child { max-width: 620px; }
figcaption { font-size: 0.875rem; margin-top: 4px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; padding: 0; margin: 12px 0; list-style: none; font-size: 0.875rem; }
.legend li { display: inline-flex; align-items: center; gap: 6px; }
.legend b { color: var(--c); }
.c-hostmesh { --c: var(--hostmesh); } .c-nginx { --c: var(--nginx); } .c-haproxy { --c: var(--haproxy); }
.c-envoy { --c: var(--envoy); } .c-direct { --c: var(--direct); }
svg.plot { display: block; width: 100%; max-width: 480px; height: auto; margin: 0 auto; overflow: visible; }
svg text { font: 11px system-ui, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg .value, svg .axis-title { fill: var(--text); }
svg .value { paint-order: stroke; stroke: var(--card); stroke-width: 3px; stroke-linejoin: round; }
svg .letter { fill: var(--c); font-weight: 700; }
.grid { stroke: var(--grid); stroke-width: 1; } .axis { stroke: var(--soft); stroke-width: 1; }
.line { stroke: var(--c); stroke-width: 1.8; fill: none; stroke-linejoin: round; }
.mark { fill: var(--c); stroke: var(--card); stroke-width: 0.8; } .mark.line { stroke: var(--c); stroke-width: 1.6; fill: none; }
.hair { stroke: var(--c); stroke-width: 0.7; opacity: 0.6; }
.whisker { stroke: var(--c); stroke-width: 1.4; }
.bar { fill: var(--c); opacity: 0.75; } .hatch { fill: var(--card); opacity: 0.55; }
.halo { stroke: var(--card); stroke-width: 3; } .range { stroke: var(--text); stroke-width: 1.4; fill: none; }
.baseline { stroke: var(--text); stroke-width: 1; stroke-dasharray: 4 3; }
.band { fill: var(--band); } .spot { fill: none; stroke: var(--text); stroke-width: 1.4; }
.scroll { overflow-x: auto; margin: 0 0 20px; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
.panel .scroll { border: 0; margin: 0; }
.scroll:focus-visible, summary:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; overflow-wrap: normal; }
caption { text-align: left; font-weight: 600; padding: 10px 12px 4px; }
.panel caption { padding-left: 0; }
th, td { padding: 5px 10px; text-align: right; vertical-align: top; border-top: 1px solid var(--grid); font-variant-numeric: tabular-nums; }
.panel th:first-child { padding-left: 0; }
thead th { color: var(--soft); font-weight: 600; border-top: 0; vertical-align: bottom; white-space: nowrap; }
tbody th { font-weight: 500; }
th:first-child { position: sticky; left: 0; background: var(--card); min-width: 7.5em; }
th.text, td.text { text-align: left; }
td.figure { white-space: nowrap; }
td small, th small { display: block; color: var(--soft); font-size: 0.75rem; font-weight: 400; }
td small.kinds { white-space: normal; min-width: 6em; }
.facts th { width: 11em; color: var(--soft); }
.facts td { text-align: left; }
th small.mark-list { color: var(--warn); }
footer { padding: 24px 20px 40px; color: var(--soft); font-size: 0.875rem; }
@media (max-width: 560px) {
  main, header, footer { padding-left: 12px; padding-right: 12px; }
  th, td { padding: 5px 8px; } .facts th { width: 7em; }
}
@media print {
  body { background: #fff; font-size: 10.5pt; } nav { display: none; }
  .panel, .tiles li, tr, .warning { break-inside: avoid; } h2, h3, caption { break-after: avoid; }
  details::details-content { content-visibility: visible; }
  .panels { grid-template-columns: 1fr 1fr; } .scroll { overflow: visible; }
  table { font-size: 7.5pt; } th, td { padding: 2px 3px; } td.figure, thead th { white-space: normal; } td small, th small { font-size: 6.5pt; }
}
`;
