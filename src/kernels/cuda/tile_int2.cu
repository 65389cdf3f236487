#include "kernels/cuda/tile_kernels.cuh"

namespace awq::cuda {

extern constinit const TileKernels kTileKernels2 = make_tile_kernels<2>();

}  // namespace awq::cuda
