#include "kernels/cuda/tile_kernels.cuh"

namespace awq::cuda {

extern constinit const TileKernels kTileKernels8 = make_tile_kernels<8>();

}  // namespace awq::cuda
