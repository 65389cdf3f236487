// Who multiplies what: the chunks of a matrix, dealt out to the blocks of the grid. Pure host code.
#pragma once

#include <cstdint>
#include <vector>

namespace awq::cuda::fused {

/// A matrix is `units` strips (or pairs of strips) of `chunks` consecutive chunks each. Share b of
/// the answer is the chunks [a[b], a[b + 1]) of their concatenation; a has blocks + 1 entries.
/// Shares are whole units where the largest of them is at most `worth` times that of equal shares; else all shares are equal up to one chunk and a
/// unit may go on in the shares that follow.
std::vector<uint32_t> partition(int64_t units, int64_t chunks, int64_t blocks,
                                double worth = 1.05);

/// The largest share over the mean: 1 is perfect.
double imbalance(const std::vector<uint32_t>& starts);

}  // namespace awq::cuda::fused
