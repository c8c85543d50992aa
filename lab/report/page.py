"""The page's template and style, as strings: only Python files are packaged."""

CSS = """
:root { color-scheme: light dark;
  --ink: #1c2128; --soft: #57606a; --line: #d9dde2; --paper: #ffffff; --wash: #f6f7f9;
  --good: #00598c; --bad: #a84300; --unknown: #57606a; --heat: 0, 114, 178; }
@media (prefers-color-scheme: dark) { :root {
  --ink: #e6e9ed; --soft: #9aa4b0; --line: #343b44; --paper: #14181d; --wash: #1d2229;
  --good: #6cb8e6; --bad: #f59a5b; --unknown: #9aa4b0; --heat: 86, 180, 233; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 28px 24px 64px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 18px; overflow-wrap: anywhere; }
h1 small { display: block; font-size: 14px; font-weight: 400; color: var(--soft); }
h2 { font-size: 19px; margin: 44px 0 8px; padding-top: 14px; border-top: 1px solid var(--line); }
p { margin: 8px 0; max-width: 74ch; }
.verdict { border: 1px solid var(--line); border-left: 6px solid var(--tone);
  border-radius: 6px; background: var(--wash); padding: 14px 18px; }
.verdict p { margin: 4px 0 0; }
.verdict .what { font-size: 20px; font-weight: 650; margin: 0; overflow-wrap: anywhere; }
.good { --tone: var(--good); } .bad { --tone: var(--bad); }
.unknown { --tone: var(--unknown); } .plain { --tone: var(--soft); }
.mark { color: var(--tone); font-weight: 600; white-space: nowrap; }
.what .mark { font-size: 15px; margin-left: 8px; }
td .mark { display: inline-block; }
.warning { border: 2px solid var(--bad); border-radius: 6px; padding: 10px 16px; margin: 14px 0;
  font-weight: 600; max-width: none; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 18px 0 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
nav { margin: 18px 0 0; font-size: 14px; line-height: 1.9; }
nav a { color: var(--good); margin-right: 14px; text-underline-offset: 2px; }
.wide { overflow-x: auto; margin: 10px 0 14px; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
caption, .caption { text-align: left; color: var(--soft); font-size: 14px; margin: 8px 0 0;
  max-width: 80ch; }
th, td { text-align: left; vertical-align: top; padding: 6px 16px 6px 0;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word; max-width: 78ch; }
td:first-child { min-width: 12ch; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
.number { text-align: right; }
.detail { color: var(--soft); font-size: 12.5px; }
td .detail { display: block; }
td.number { white-space: nowrap; padding-left: 8px; }
td.heat { padding-left: 16px; background: rgba(var(--heat), calc(var(--share) * 0.45)); }
figure { margin: 14px 0; }
.plots { display: flex; flex-wrap: wrap; gap: 14px; align-items: flex-start; }
.plots figure { margin: 14px 0 0; max-width: 100%; }
.card { background: #ffffff; border: 1px solid var(--line); border-radius: 6px; padding: 10px;
  display: inline-block; max-width: 100%; }
.card svg { display: block; max-width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: 14px; max-width: 74ch; margin-top: 6px; }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--good); font-size: 14px; }
footer { margin-top: 48px; color: var(--soft); font-size: 13px; }
@media (max-width: 600px) {
  main { padding: 18px 14px 48px; } h1 { font-size: 22px; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 8px; }
  th, td { padding-right: 12px; } .card { padding: 4px; } }
@media print { nav { display: none; } section { break-inside: avoid-page; } }
"""

TEMPLATE = """\
{%- macro marked(mark) -%}
<span class="mark {{ mark.tone }}">
{#- #}<span aria-hidden="true">{{ mark.symbol }}</span> {{ mark.word }}</span>
{%- endmacro -%}
{%- macro cell(own) -%}
<td{% if own.span > 1 %} colspan="{{ own.span }}"{% endif %}
{#- #} class="{{ 'number' if own.number }}{{ ' heat' if own.shade is not none }}"
{%- if own.shade is not none %} style="--share: {{ '%.3f' % own.shade }}"{% endif %}>
{%- if own.text %}{{ own.text }}{% endif %}{% if own.mark %} {{ marked(own.mark) }}{% endif %}
{%- if own.detail %}<span class="detail">{{ own.detail }}</span>{% endif %}
{%- if own.rows %}<span class="detail">{{ own.rows }}</span>{% endif %}</td>
{%- endmacro -%}
{%- macro plain_table(own) -%}
<div class="wide" tabindex="0" role="group" aria-label="{{ own.caption or 'table' }}">
{#- #}<table><thead><tr>
{%- for column in own.columns %}
{#- #}<th scope="col"{% if column.number %} class="number"{% endif %}>{{ column.name }}</th>
{%- endfor -%}
</tr></thead><tbody>
{%- for row in own.rows %}
<tr>{% for one in row %}{{ cell(one) }}{% endfor %}</tr>
{%- endfor %}
</tbody></table></div>
{%- endmacro -%}
{%- macro table(own) -%}
{%- if own.folded %}<details><summary>{{ own.caption }}</summary>{{ plain_table(own) }}</details>
{%- else %}
{%- if own.caption %}<p class="caption">{{ own.caption }}</p>{% endif %}{{ plain_table(own) }}
{%- endif -%}
{%- endmacro -%}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ content.title }}: {{ content.verdict }}</title>
<style>{{ css }}</style>
</head>
<body>
<main>
<h1>{{ content.title }} <small>Evaluation report</small></h1>
<div class="verdict {{ content.mark.tone }}">
<p class="what">{{ content.verdict }} {{ marked(content.mark) }}</p>
<p>{{ content.why }}</p>
</div>
{%- for warning in content.warnings %}
<p class="warning" role="note"><span aria-hidden="true">⚠</span> {{ warning }}</p>
{%- endfor %}
<dl>
{%- for fact in content.facts %}
<dt>{{ fact.name }}</dt><dd>{{ fact.value }}
{%- if fact.detail %} <span class="detail">{{ fact.detail }}</span>{% endif %}</dd>
{%- endfor %}
</dl>
<nav aria-label="Sections">
{%- for section in content.sections %}<a href="#{{ section.key }}">{{ section.title }}</a>
{% endfor -%}
</nav>
{%- for section in content.sections %}
<section id="{{ section.key }}" aria-labelledby="{{ section.key }}-title">
<h2 id="{{ section.key }}-title">{{ section.title }}</h2>
{%- for kind, blocks in section | runs %}
{%- if kind == "Drawing" %}
<div class="plots">
{%- for block in blocks %}
<figure><div class="card">{{ plot(block) }}</div>
<figcaption>{{ block.caption }}</figcaption></figure>
{%- endfor %}
</div>
{%- else %}
{%- for block in blocks %}
{%- if kind == "Table" %}
{{ table(block) }}
{%- elif kind == "Bullets" %}
<ul>{% for item in block.items %}<li>{{ item }}</li>{% endfor %}</ul>
{%- elif block.strong %}
<p><strong>{{ block.text }}</strong></p>
{%- else %}
<p>{{ block.text }}</p>
{%- endif %}
{%- endfor %}
{%- endif %}
{%- endfor %}
</section>
{%- endfor %}
<footer>Intervals are of 95 %. n counts rows, and clusters where whole entities were drawn.</footer>
</main>
</body>
</html>
"""
