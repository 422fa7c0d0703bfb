"""How the nightly report looks, on light and dark ground, on a phone and on paper."""

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1b1f24; --muted: #59616a; --line: #d5d9de; --soft: #f3f5f7;
  --accent: #1b5a86; --good: #1f6a3c; --wait: #7d5200; --warn: #c2491a; --p-ink: #1f3b57; --p-good: #5f93b8;
  --p-poor: #c9541f; --p-muted: #7d8790; --p-notice: #a87400; --p-grid: #e4e7ea; --p-axis: #3c434a;
  --p-blank: #e9ecef; --p-ground: var(--ground); }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14171b; --text: #e6e9ec; --muted: #a6aeb6; --line: #39414a; --soft: #1e2329; --accent: #85bfe8;
    --good: #7fd6a2; --wait: #e9bd62; --warn: #f0936a; --p-ink: #9cc9ee; --p-good: #5b8fb5; --p-poor: #f08a52;
    --p-muted: #8b959f; --p-notice: #e0b04a; --p-grid: #2c333a; --p-axis: #c3cad1; --p-blank: #3a424a; }
}
@media print { :root { color-scheme: light; } details, nav { display: none; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; margin: 2rem auto; max-width: 72rem;
  padding: 0 1.2rem; background: var(--ground); color: var(--text); overflow-wrap: anywhere; }
a { color: var(--accent); }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; }
h3 { font-size: .95rem; margin: 1rem 0 .3rem; font-weight: 600; }
.sub { color: var(--muted); margin: .2rem 0 1.2rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .7rem; }
.tile { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
.tile b { display: block; font-size: 1.35rem; line-height: 1.3; } .tile span { color: var(--muted); font-size: .85rem; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.3rem; padding: 0; margin: 1.2rem 0 0; }
nav a { display: inline-block; padding: .25rem 0; }
.warn { border-left: 4px solid var(--warn); background: var(--soft); padding: .5rem .9rem; margin: 1rem 0; }
.figure, .scroll { overflow-x: auto; }
.figure { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem; margin: .4rem 0 1rem; }
.figure svg { width: 100%; min-width: 40rem; height: auto; display: block; }
.figure svg text { fill: var(--p-axis); }
ol.found { list-style: none; padding: 0; margin: 0; }
ol.found > li { border-top: 1px solid var(--line); padding: .65rem 0; display: grid;
  grid-template-columns: 3rem minmax(0, 1fr); gap: .2rem .9rem; }
ol.found > li:target { background: var(--soft); }
ol.found .rank { color: var(--muted); text-align: right; font-variant-numeric: tabular-nums; }
ol.found p { margin: 0; } ol.found .about { color: var(--muted); font-size: .85rem; }
ul.faded { padding-left: 1.2rem; } ul.faded span { color: var(--muted); font-size: .85rem; }
.chip { border: 1px solid var(--line); border-radius: 1rem; padding: 0 .5rem; margin-right: .35rem; font-size: .78rem;
  white-space: nowrap; display: inline-block; }
.chip.confirmed { border-color: var(--good); color: var(--good); }
.chip.pending { border-color: var(--wait); color: var(--wait); }
.chip.new { border-color: var(--accent); color: var(--accent); }
details { margin-top: .25rem; font-size: .85rem; }
summary { cursor: pointer; color: var(--accent); padding: .2rem 0; width: max-content; }
pre { white-space: pre-wrap; background: var(--soft); padding: .6rem .8rem; border-radius: .4rem; font-size: .8rem;
  margin: .3rem 0 0; }
table { border-collapse: collapse; width: 100%; min-width: 44rem; font-size: .88rem; overflow-wrap: normal; }
th { font-weight: 600; } td:last-child { min-width: 10rem; }
th, td { text-align: left; padding: .28rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
footer { color: var(--muted); font-size: .82rem; margin: 2.5rem 0 1rem; }
@media (max-width: 40rem) {
  body { margin: 1rem auto; padding: 0 .9rem; } h1 { font-size: 1.3rem; }
  ol.found > li { grid-template-columns: 1.6rem minmax(0, 1fr); gap: .2rem .6rem; }
}
"""
"""The style sheet. `--p-…` are the colours of pictures (`flows.nightly.plots`)."""
