#include "report/html.h"

namespace awq {

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n') out += c;
    }
  }
  return out;
}

static constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--ink:#1d2330;--soft:#5b6474;--line:#d8dce4;--back:#fff;--card:#f6f7fa;
--c0:#2563c9;--c1:#c2410c;--c2:#15803d;--c3:#9333ea;--c4:#b45309;--c5:#0e7490;--c6:#be185d}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#9aa3b2;--line:#333b49;--back:#14181f;
--card:#1c222c;--c0:#7aa7ff;--c1:#fb9a6a;--c2:#6fd08c;--c3:#c99bff;--c4:#f2c14e;--c5:#5fd0e0;--c6:#f78fb8}}
body{margin:0 auto;max-width:60rem;padding:2rem 1rem 4rem;background:var(--back);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.5rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;background:var(--card);
padding:1rem;border-radius:.5rem;font-size:.9rem}dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere;font-family:ui-monospace,monospace}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}
th,td{padding:.25rem .8rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th{color:var(--soft);font-weight:600}.text{text-align:left}
svg{max-width:100%;height:auto;margin:1rem 0;font:12px system-ui,sans-serif}
svg text{fill:var(--ink)}svg .soft{fill:var(--soft)}svg .grid{stroke:var(--line)}
figure{margin:1.5rem 0}figcaption{font-weight:600;font-size:.95rem}
p.note{color:var(--soft);font-size:.9rem;margin:.4rem 0}
)";

std::string html_page(std::string_view title, std::string_view body) {
  return cat("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
             escape_html(title), "</title>\n<style>", kStyle, "</style>\n</head>\n<body>\n<h1>",
             escape_html(title), "</h1>\n", body, "</body>\n</html>\n");
}

std::string cell_text(const Json& row, const std::string& key, int digits) {
  const auto found = row.is_object() ? row.find(key) : row.end();
  if (!row.is_object() || found == row.end()) return "–";
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_number() || digits < 0) return found->is_number() ? dump_json(*found) : "–";
  const auto value = found->get<double>();
  if (value >= 1e6) {
    const std::string text = cat(value);
    return text.size() <= 10 ? text : cat(fixed(value / 1e6, 1), "e6");
  }
  return fixed(value, value >= 10000 ? 0 : digits);
}

}  // namespace awq
