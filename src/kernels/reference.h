// The scalar table: every op written down the obvious way, with double accumulators. It is the
// oracle that the other tables are tested against, and the only table on processors without one.
#pragma once

#include "kernels/ops.h"

namespace awq {

Ops reference_ops(Device& device);

namespace reference {

void norm(Device&, const NormArgs& args);
void rope(Device&, const RopeArgs& args);
void kv_append(Device&, const KvAppendArgs& args);
void attention(Device& device, const AttentionArgs& args);
float activate(Activation kind, float x);

}  // namespace reference
}  // namespace awq
