// What `quantize` can be asked for.
#pragma once

#include <algorithm>
#include <string_view>

#include "base/result.h"
#include "model/fold.h"
#include "model/tensor_reader.h"
#include "quant/format_plan.h"
#include "quant/inverse_factor.h"
#include "quant/round.h"

namespace awq {

/// awq: scales and clips, then rounding to nearest. gptq: columns one after the other, errors taken
/// back. awq_gptq: scales and clips first, then GPTQ's rounding (the paper's INT2 result).
enum class Method { rtn, awq, gptq, awq_gptq };
enum class SearchLoss { hessian, module };

struct QuantizeOptions {
  Method method = Method::awq;
  FormatPlan formats;
  bool clip = true;
  int grid = 20;
  bool duo = false;  ///< scales from activations and weights, as AutoAWQ's
  SearchLoss search_loss = SearchLoss::hessian;
  FoldOptions fold;
  Arithmetic arithmetic = Arithmetic::f32;  ///< f16: rtn and awq only
  FactorOptions gptq;
  /// With awq_gptq: several ways of rounding are tried for each linear, and the one is taken that
  /// loses least on calibration sequences that none of them has seen.
  bool best = false;
  int64_t calibration_length = 512;

  bool calibrated() const { return method != Method::rtn; }
  bool scaled() const { return method == Method::awq || method == Method::awq_gptq; }
  /// Sequences, of `all`, that only judge: an eighth, at least one.
  int64_t held_out(int64_t all) const { return best && all > 1 ? std::max<int64_t>(1, all / 8) : 0; }
  bool compensated() const { return method == Method::gptq || method == Method::awq_gptq; }
};

std::string_view method_name(Method method);
Result<Method> parse_method(std::string_view name);

/// 128 where it divides the inputs of every linear, else 64, else 32; an error when none does.
Result<int64_t> auto_group(const Arch& arch);

/// Every linear must have a packed layout in its format, its inputs be whole groups, and the parts of
/// a tensor that is written fused have one format.
Status check_formats(const TensorReader& reader, const FormatPlan& formats);

}  // namespace awq
