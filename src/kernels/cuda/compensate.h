// The entries of Ops that round a weight to codes, for the CUDA table.
#pragma once

#include "kernels/ops.h"

namespace awq::cuda {

FactorOutcome inverse_factor(Device& device, const FactorArgs& args);
void round_codes(Device& device, const RoundCodesArgs& args);
void round_compensated(Device& device, const RoundCodesArgs& args, const ColumnFactor& factor);
void code_error(Device& device, const RoundCodesArgs& args, Matrix e);

}  // namespace awq::cuda
