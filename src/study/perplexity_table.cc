// Tables 4, 6 and 7: methods against each other over bits and groups.
#include "base/progress.h"
#include "quant/bit_allocation.h"
#include "study/study.h"

namespace awq {
namespace {

struct Row {
  const char* name;
  Method method;
  bool act_order = false, best = false;
};

constexpr Row kRtn{"RTN", Method::rtn, false}, kGptq{"GPTQ", Method::gptq, false},
    kGptqOrder{"GPTQ-R", Method::gptq, true}, kAwq{"AWQ", Method::awq, false},
    kBoth{"AWQ+GPTQ", Method::awq_gptq, false},
    kBest{"quality best", Method::awq_gptq, false, true};

bool divides(const Arch& arch, int64_t group) {
  for (const Linear& linear : block_linears(arch.block)) {
    if (group > 0 && !linear.keep_float && linear_shape(arch, linear)[1] % group != 0) return false;
  }
  return true;
}

StudyResult table(std::string title) {
  StudyResult result;
  result.title = std::move(title);
  result.columns = {{"format", "format", -1},      {"name", "method", -1},
                    {"bits_per_weight", "bits/weight", 2},
                    {"ppl", "perplexity", 3},      {"ppl_stderr", "±", 3},
                    {"kl", "KL", 4},               {"top1", "same top-1 %", 1},
                    {"seconds", "quantize s", 0}};
  return result;
}

Status add_rows(StudyContext& context, StudyResult& result, const QuantFormat& format,
                std::initializer_list<Row> rows) {
  for (const Row& row : rows) {
    QuantizeOptions options = context.options(row.method, format);
    options.gptq.act_order = row.act_order;
    options.best = row.best;
    std::span<const int32_t> ids;
    if (options.calibrated()) {
      AWQ_ASSIGN(ids, context.tokens());
    }
    AWQ_ASSIGN(Json measured, context.measure_quantized(row.name, options, ids));
    result.rows.push_back(std::move(measured));
  }
  return {};
}

// AWQ with the bits of each linear chosen, in the size of `format` for all.
Status add_mixed(StudyContext& context, StudyResult& result, const QuantFormat& format) {
  const Timer timer;
  QuantizeOptions options = context.options(Method::awq, format);
  const BitTarget size{options.formats.bits_per_weight(context.arch), 0};
  AWQ_ASSIGN(const auto ids, context.tokens());
  AWQ_ASSIGN(const Json allocation, choose_bits(context.reader, context.ops, ids, size, options));
  const double choosing = timer.seconds();
  AWQ_ASSIGN(Json row, context.measure_quantized("AWQ, mixed", options, ids));
  row["format"] = cat(format_name(format), " size");
  row["seconds"] = row["seconds"].get<double>() + choosing;
  row["allocation"] = allocation;
  result.rows.push_back(std::move(row));
  return {};
}

// The groups of `wanted` that fit the model; what does not fit is noted.
std::vector<int64_t> fitting(const Arch& arch, std::initializer_list<int64_t> wanted,
                             StudyResult& result) {
  std::vector<int64_t> groups;
  for (const int64_t group : wanted) {
    if (divides(arch, group)) {
      groups.push_back(group);
    } else {
      result.notes.push_back(cat("groups of ", group, " do not divide the inputs of this model"));
    }
  }
  return groups;
}

}  // namespace

Result<StudyResult> study_perplexity(StudyContext& context) {
  StudyResult result = table("Table 4: perplexity by method, bits and group");
  AWQ_ASSIGN(Json reference, context.measure_reference());
  result.rows.push_back(std::move(reference));
  const std::vector<int64_t> groups = fitting(context.arch, {128, 64}, result);
  for (const int bits : {3, 4}) {
    if (context.settings.bits != 0 && context.settings.bits != bits) continue;
    for (const int64_t group : groups) {
      AWQ_TRY(add_rows(context, result, {bits, group, false},
                       {kRtn, kGptq, kGptqOrder, kAwq, kBoth, kBest}));
      AWQ_TRY(add_mixed(context, result, {bits, group, false}));
    }
  }
  result.notes.push_back("GPTQ-R: columns in the order of falling input energy, static groups. mixed: "
                         "bits by linear from measured losses, in the size of one width for all.");
  result.charts = {{"lines", "perplexity over size", "bits_per_weight", "ppl", "name", false},
                   {"lines", "KL over size", "bits_per_weight", "kl", "name", false}};
  return result;
}

Result<StudyResult> study_int2(StudyContext& context) {
  const QuantFormat format{2, context.settings.group, false};
  StudyResult result = table(cat("Table 6: two bits, ", format_name(format)));
  AWQ_ASSIGN(Json reference, context.measure_reference());
  result.rows.push_back(std::move(reference));
  AWQ_TRY(add_rows(context, result, format, {kRtn, kGptq, kBoth}));
  result.notes = {"Perplexities of collapsed models do not rank them; KL does better."};
  result.charts = {{"bars", "KL from the float model", "name", "kl", "", false}};
  return result;
}

Result<StudyResult> study_groups(StudyContext& context) {
  const int bits = context.bits_or(3);
  StudyResult result = table(cat("Table 7: groups against whole channels, INT", bits));
  AWQ_ASSIGN(Json reference, context.measure_reference());
  result.rows.push_back(std::move(reference));
  for (const int64_t group : fitting(context.arch, {0, 128, 64, 32}, result)) {
    AWQ_TRY(add_rows(context, result, {bits, group, false}, {kRtn, kGptq, kAwq}));
  }
  result.charts = {{"lines", "perplexity over size", "bits_per_weight", "ppl", "name", false}};
  return result;
}

}  // namespace awq
