"""The page's style: one column of cards, light or dark as the reader's system is, fit for print."""

__all__ = ["STYLE"]

STYLE = """
:root { --paper:#f6f5f1; --card:#ffffff; --ink:#1c1d21; --dim:#6b6e76; --rule:#e4e2db; --a:#0f766e; --b:#c2410c;
  --on:#ffffff; --warn:#b45309; --cell:#f1efe9; }
@media (prefers-color-scheme: dark) { :root { --paper:#121417; --card:#1b1e23; --ink:#e9e8e4; --dim:#9a9ea8;
  --rule:#30343b; --a:#2dd4bf; --b:#fb923c; --on:#0b1513; --warn:#fbbf24; --cell:#23272d; } }
* { box-sizing:border-box }
html { color-scheme: light dark }
body { margin:0; background:var(--paper); color:var(--ink); line-height:1.5;
  font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif }
main { max-width:1100px; margin:0 auto; padding:40px 20px 80px }
header h1 { font-size:1.9rem; line-height:1.2; margin:0 0 6px; letter-spacing:-.01em; overflow-wrap:anywhere }
header p { margin:0; color:var(--dim); overflow-wrap:anywhere }
h2 { font-size:1.35rem; margin:44px 0 14px; padding-top:18px; border-top:1px solid var(--rule); overflow-wrap:anywhere }
h3 { font-size:1rem; margin:0 0 10px }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(170px,1fr)); gap:12px; margin:14px 0 }
.card, .panel { background:var(--card); border:1px solid var(--rule); border-radius:12px; padding:16px 18px }
.card .name { color:var(--dim); font-size:.85rem }
.card .value { font-size:1.75rem; font-weight:650; line-height:1.25; font-variant-numeric:tabular-nums }
.card .note { color:var(--dim); font-size:.85rem; font-variant-numeric:tabular-nums }
.card.main { border-color:var(--a); box-shadow:inset 3px 0 0 var(--a) }
.panels { display:grid; grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr)); gap:14px; margin:14px 0;
  align-items:start }
.panel { margin:14px 0 } .panels .panel { margin:0 }
.panel p { margin:0 0 8px } .panel p:last-child { margin-bottom:0 }
.dim { color:var(--dim) } .warn { color:var(--warn) }
.notices { margin:16px 0 0; padding-left:20px; color:var(--dim) } .notices li { overflow-wrap:anywhere }
details { margin-top:10px } summary { cursor:pointer; color:var(--dim); font-size:.85rem }
.wide { flex:0 1 auto; width:auto }
.wide { overflow-x:auto }
table { border-collapse:collapse; width:100%; font-size:.92rem }
th { text-align:left; font-weight:600; color:var(--dim); font-size:.82rem }
th, td { padding:6px 10px 6px 0; border-bottom:1px solid var(--rule); vertical-align:top; overflow-wrap:anywhere }
tr:last-child td { border-bottom:0 }
th { white-space:nowrap }
.panels table { font-size:.86rem }
.n { text-align:right; font-variant-numeric:tabular-nums; white-space:nowrap }
nav { margin-top:14px } nav a { color:var(--a); margin-right:16px; text-decoration:none }
nav a:hover { text-decoration:underline }
svg { display:block; width:100%; height:auto; margin:0 auto; font-family:inherit }
svg text { fill:var(--ink) } svg .small { font-size:12px }
svg .end { text-anchor:end } svg .middle { text-anchor:middle }
svg text.dim { fill:var(--dim) } svg text.warn { fill:var(--warn) } svg text.on { fill:var(--on); font-weight:600 }
svg .grid { stroke:var(--rule); stroke-width:1 }
svg .ideal { stroke:var(--dim); stroke-dasharray:4 4; stroke-width:1.2 }
svg .mark { stroke:var(--warn); stroke-dasharray:3 3; stroke-width:1.4 }
svg .line { fill:none; stroke-width:2; stroke-linejoin:round; stroke-linecap:round }
svg .a.line { stroke:var(--a) } svg .b.line { stroke:var(--b) }
svg .a { fill:var(--a) } svg .b { fill:var(--b) } svg .line.a, svg .line.b { fill:none }
svg .thin { fill-opacity:.55 } svg .cell { fill:var(--cell) } svg .count { fill:var(--dim); fill-opacity:.25 }
svg .bar { fill-opacity:.8 } svg .whisker { stroke:var(--ink); stroke-width:1.3; fill:none }
@media print { body { background:#fff } .panel, .card { break-inside:avoid } nav { display:none } }
"""
