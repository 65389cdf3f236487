// Tables and pages from the JSON of `awq study` and `awq quantize`.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace awq {

/// Whether `document` is what `awq study --json` prints: {"study", "sections": [...], ...}, a section
/// being {"title", "columns", "rows", "notes", "charts"} as study/study.h says.
bool is_study(const Json& document);

/// The sections of a quantize report under the same keys: losses by layer, exponents, linears.
Json quantization_sections(const Json& report);

/// Every section as a Markdown table with its notes. Error naming what is not as expected.
Result<std::string> study_tables(const Json& sections, std::string_view origin);

/// A self-contained page of several documents: what was run, on what, tables and charts.
Result<std::string> study_page(const std::vector<Json>& documents);

}  // namespace awq
