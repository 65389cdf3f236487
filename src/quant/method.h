// What `quantize` can be asked for.
#pragma once

#include <string_view>

#include "base/result.h"
#include "model/fold.h"
#include "quant/round.h"
#include "tensor/quant_format.h"

namespace awq {

enum class Method { rtn, awq };
enum class SearchLoss { hessian, module };

struct QuantizeOptions {
  Method method = Method::awq;
  QuantFormat format;
  bool clip = true;
  int grid = 20;
  SearchLoss search_loss = SearchLoss::hessian;
  FoldOptions fold;
  Arithmetic arithmetic = Arithmetic::f32;
  int64_t calibration_length = 512;
};

inline std::string_view method_name(Method method) {
  return method == Method::rtn ? "rtn" : "awq";
}

/// 128 where it divides the inputs of every linear, else 64, else 32; an error when none does.
Result<int64_t> auto_group(const Arch& arch);

/// Every linear of a block must have a packed layout in this format, and its inputs be whole groups.
Status check_format(const Arch& arch, const QuantFormat& format);

}  // namespace awq
