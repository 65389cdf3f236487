#include "kernels/cuda/tile_kernels.cuh"

namespace awq::cuda {

extern constinit const TileKernels kTileKernels4 = make_tile_kernels<4>();

}  // namespace awq::cuda
