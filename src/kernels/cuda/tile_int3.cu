#include "kernels/cuda/tile_kernels.cuh"

namespace awq::cuda {

extern constinit const TileKernels kTileKernels3 = make_tile_kernels<3>();

}  // namespace awq::cuda
