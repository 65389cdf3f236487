// The planned decode step of the CPU tables: a token is one pool job of five phases a layer,
//
//   [norm, codes | q k v]  [rope, append, attention]  [codes | o + residual]
//   [norm, codes | gate, up, activation]  [codes | down + residual]
//
// and one of the head. Panels of weights are cut among the threads by bytes, once for all tokens, so that
// each reads its own memory; norms and codes of a row are cheaper than a barrier, so every thread makes
// its own. A parallel block leaves attention's output for down to add; where a module's output has a norm of
// its own, the phase behind makes it and adds it. The kernels and their order are those of the op-by-op
// walk: the same bits come out.
#pragma once

#include "kernels/cpu/kernel_table.h"
#include "kernels/decode_step.h"

namespace awq::cpu {

std::unique_ptr<DecodeStep> plan_decode(const KernelTable& kernels, Device& device,
                                        const DecodeSpec& spec);

}  // namespace awq::cpu
