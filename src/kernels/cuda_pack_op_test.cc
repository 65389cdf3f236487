// Tiles packed on the device equal the host's, byte for byte; skipped without a device.
#include <gtest/gtest.h>

#include "kernels/cuda/weights.h"
#include "kernels/cuda_test.h"
#include "kernels/op_test_data.h"

namespace awq {
namespace {

class CudaPack : public CudaTest {
 protected:
  void expect_tiles(const PackedWeight& got, const QuantWeight& want, const std::string& what) {
    const auto& weight = static_cast<const cuda::CudaWeight&>(got);
    ASSERT_EQ(weight.kind, cuda::CudaWeight::Kind::tiles) << what;
    const auto& tiles = static_cast<const cuda::QuantTilesCuda&>(weight);
    const cuda::Tiles host = cuda::pack_tiles(want);
    const auto down = [&](const DeviceBuffer& buffer) {
      std::vector<uint8_t> bytes(buffer.size());
      device->download(bytes.data(), buffer.data(), bytes.size());
      return bytes;
    };
    EXPECT_EQ(down(tiles.code_buffer), host.codes) << what;
    EXPECT_EQ(down(tiles.meta_buffer), host.meta) << what;
    EXPECT_EQ(got.bytes, host.codes.size() + host.meta.size()) << what;
  }
};

TEST_F(CudaPack, EqualsTheHostsTiles) {
  TestData data(11);
  for (const int bits : {2, 3, 4, 8}) {
    for (const int64_t group : {0, 32, 64, 128}) {
      for (const auto& [out, in] :
           {std::pair<int64_t, int64_t>{32, 128}, {48, 576}, {8, 96}, {200, 1120}}) {
        const QuantFormat format{bits, group, false};
        const QuantWeight weight = data.quant_weight(out, in, format);
        const std::string what = cat(format_name(format), " ", out, " x ", in);
        expect_tiles(*cuda.pack_quant(*device, weight), weight, what + ", codes");
        QuantWeight facts = weight;
        facts.codes.clear();
        const auto gptq = gptq_words(weight);
        const auto count = static_cast<int64_t>(gptq.size());
        expect_tiles(
            *cuda.pack_words(*device, facts, {QuantWords::Order::gptq, gptq.data(), count}), weight,
            what + ", GPTQ words");
        if (bits != 4) continue;
        const auto awq = awq_words(weight);
        expect_tiles(*cuda.pack_words(*device, facts,
                                      {QuantWords::Order::awq, awq.data(),
                                       static_cast<int64_t>(awq.size())}),
                     weight, what + ", AWQ words");
      }
    }
  }
}

TEST_F(CudaPack, DeclinesFormatsWithoutTiles) {
  TestData data(12);
  QuantWeight weight = data.quant_weight(32, 160, {4, 40, false});
  const auto words = awq_words(weight);
  weight.codes.clear();
  EXPECT_EQ(cuda.pack_words(*device, weight,
                            {QuantWords::Order::awq, words.data(),
                             static_cast<int64_t>(words.size())}),
            nullptr);
}

}  // namespace
}  // namespace awq
