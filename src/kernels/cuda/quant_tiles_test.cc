// The layout of quantized weights on CUDA devices, checked on the host.
#include "kernels/cuda/quant_tiles.h"

#include <gtest/gtest.h>

#include <random>

namespace awq::cuda {
namespace {

QuantWeight random_weight(const QuantFormat& format, int64_t out, int64_t in) {
  std::mt19937 random(static_cast<unsigned>(format.bits * 1000 + out + in));
  QuantWeight weight;
  weight.format = format;
  weight.out = out;
  weight.in = in;
  const auto code = [&] {
    return static_cast<uint8_t>(random() & static_cast<unsigned>(format.max_code()));
  };
  weight.codes.resize(static_cast<size_t>(out * in));
  for (uint8_t& c : weight.codes) c = code();
  weight.scales.resize(static_cast<size_t>(out * weight.groups()));
  for (uint16_t& s : weight.scales) s = static_cast<uint16_t>(random() & 0x3fff);
  weight.zeros.resize(weight.scales.size());
  for (uint8_t& z : weight.zeros) z = code();
  return weight;
}

TEST(QuantTiles, RoundTripOfEveryFormat) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const int64_t group : {0, 32, 64, 128, 256}) {
      for (const auto& [out, in] : {std::pair<int64_t, int64_t>{32, 128}, {48, 576}, {7, 96}, {65, 512}}) {
        const QuantFormat format{bits, group, false};
        const QuantWeight weight = random_weight(format, out, in);
        const Tiles tiles = pack_tiles(weight);
        EXPECT_EQ(static_cast<int64_t>(tiles.codes.size()), tiles.shape.tiles() * 512 * bits);
        const QuantWeight back = unpack_tiles(tiles, format);
        EXPECT_EQ(back.codes, weight.codes) << bits << ' ' << group << ' ' << out << 'x' << in;
        EXPECT_EQ(back.scales, weight.scales) << bits << ' ' << group;
        EXPECT_EQ(back.zeros, weight.zeros) << bits << ' ' << group;
      }
    }
  }
}

TEST(QuantTiles, WordsAreTheRegistersOfMma) {
  // Lane 4 g + j, step s of half h and input half u: a0..a3 of the lane.
  QuantWeight weight = random_weight({4, 128, false}, 32, 128);
  const Tiles tiles = pack_tiles(weight);
  const auto* words = reinterpret_cast<const uint32_t*>(tiles.codes.data());
  for (int h = 0; h < 2; ++h) {
    for (int u = 0; u < 2; ++u) {
      for (int lane = 0; lane < 32; ++lane) {
        for (int s = 0; s < 4; ++s) {
          const int g = lane / 4, j = lane % 4;
          const int k0 = u * 64 + s / 2 * 32 + 8 * j + s % 2 * 4;
          const uint32_t word = words[((2 * h + u) * 32 + lane) * 4 + s];
          const auto at = [&](int row, int k) { return weight.codes[static_cast<size_t>(row * 128 + k)]; };
          const int row = h * 16 + g;
          EXPECT_EQ(word & 0x000f000f, at(row, k0) | at(row, k0 + 1) << 16);
          EXPECT_EQ(word & 0x00f000f0, at(row + 8, k0) << 4 | at(row + 8, k0 + 1) << 20);
          EXPECT_EQ(word >> 8 & 0x000f000f, at(row, k0 + 2) | at(row, k0 + 3) << 16);
          EXPECT_EQ(word >> 8 & 0x00f000f0, at(row + 8, k0 + 2) << 4 | at(row + 8, k0 + 3) << 20);
        }
      }
    }
  }
}

TEST(QuantTiles, FitsHalves) {
  QuantWeight weight = random_weight({4, 32, false}, 3, 64);
  weight.scales.assign(weight.scales.size(), 0x3c00);
  EXPECT_TRUE(fits_halves(weight));
  weight.scales[3] = 0x6c44;  // 4368, 15 times of which are 65520
  EXPECT_FALSE(fits_halves(weight));
  weight.scales[3] = 0xec43;  // -4364
  EXPECT_TRUE(fits_halves(weight));
  for (const uint16_t scale : {0x7c00, 0x7e00, 0xfc00}) {  // infinity, NaN
    weight.scales[3] = scale;
    EXPECT_FALSE(fits_halves(weight));
  }
}

TEST(QuantTiles, Tileable) {
  for (const int64_t group : {0, 32, 64, 128, 256}) EXPECT_TRUE(tileable({4, group, false}));
  for (const int64_t group : {16, 48, 96, 192}) EXPECT_FALSE(tileable({4, group, false}));
}

}  // namespace
}  // namespace awq::cuda
