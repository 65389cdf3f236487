// The packed weights of the CUDA backend. Which of the three a PackedWeight is, its `kind` says.
#pragma once

#include "kernels/cuda/quant_tiles.h"
#include "kernels/device.h"
#include "kernels/ops.h"

namespace awq::cuda {

class CudaWeight : public PackedWeight {
 public:
  enum class Kind { floats, tiles, canonical };
  const Kind kind;

 protected:
  explicit CudaWeight(Kind kind_) : kind(kind_) {}
};

/// A float weight as it came.
class FloatWeightCuda : public CudaWeight {
 public:
  FloatWeightCuda() : CudaWeight(Kind::floats) {}
  const void* data() const { return buffer.data(); }

  DType dtype = DType::f32;  ///< F32, F16 or BF16
  DeviceBuffer buffer;       ///< [out, in] row-major, 16-byte aligned base, no padding
};

/// A quantized weight in tiles (quant_tiles.h); the arrays are at least 128-byte aligned.
class QuantTilesCuda : public CudaWeight {
 public:
  QuantTilesCuda() : CudaWeight(Kind::tiles) {}
  const uint8_t* codes() const { return code_buffer.as<uint8_t>(); }
  const uint8_t* meta() const { return meta_buffer.as<uint8_t>(); }

  TileShape shape;
  bool fits_halves = true;  ///< no weight is beyond the range of half
  DeviceBuffer code_buffer, meta_buffer;
};

/// A quantized weight that has no tiles (groups of 16 or 40): one byte a code, decoded to floats in
/// scratch memory at each product.
class QuantRowsCuda : public CudaWeight {
 public:
  QuantRowsCuda() : CudaWeight(Kind::canonical) {}

  QuantFormat format;
  DeviceBuffer codes;   ///< uint8_t [out, in]
  DeviceBuffer scales;  ///< half [out, groups]
  DeviceBuffer zeros;   ///< uint8_t [out, groups]
};

}  // namespace awq::cuda
