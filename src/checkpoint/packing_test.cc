// The exact bits of AutoAWQ's gemm layout and of GPTQ's, against plain re-statements of their
// rules, and the round trip through a checkpoint on disk.
#include "checkpoint/packing.h"

#include "base/float16.h"
#include "checkpoint/quantization.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/test_files.h"

namespace awq {
namespace {

// Codes, zeros and scales that differ from cell to cell; zeros cover 0 and the top.
QuantWeight test_weight(int bits, int64_t group, int64_t out, int64_t in, bool symmetric = false) {
  QuantWeight weight{{bits, group, symmetric}, out, in, {}, {}, {}};
  uint32_t state = 12345;
  const auto draw = [&] {
    state = state * 1664525u + 1013904223u;
    return static_cast<uint8_t>((state >> 16) & static_cast<uint32_t>(weight.format.max_code()));
  };
  for (int64_t i = 0; i < out * in; ++i) weight.codes.push_back(draw());
  for (int64_t i = 0; i < out * weight.groups(); ++i) {
    weight.zeros.push_back(symmetric ? static_cast<uint8_t>(1 << (bits - 1)) : draw());
    weight.scales.push_back(float_to_half(0.001f * static_cast<float>(i + 1)));
  }
  if (!symmetric)
    weight.zeros[0] = 0, weight.zeros[1] = static_cast<uint8_t>(weight.format.max_code());
  return weight;
}

void expect_equal(const QuantWeight& a, const QuantWeight& b) {
  EXPECT_EQ(a.format, b.format);
  EXPECT_EQ(a.codes, b.codes);
  EXPECT_EQ(a.zeros, b.zeros);
  EXPECT_EQ(a.scales, b.scales);
}

// Bit `bit` of a little-endian stream of words.
uint32_t bit_at(const std::vector<int32_t>& words, size_t bit) {
  return (static_cast<uint32_t>(words[bit / 32]) >> (bit % 32)) & 1;
}

TEST(PackAwq, NibbleOrder) {
  QuantWeight weight{{4, 0, false}, 8, 1, {}, {}, {}};
  weight.codes = {1, 2, 3, 4, 5, 6, 7, 8};
  weight.zeros = {1, 2, 3, 4, 5, 6, 7, 8};
  weight.scales.assign(8, float_to_half(1));
  const PackedWords words = pack_awq(weight);
  ASSERT_EQ(words.qweight.size(), 1u);
  EXPECT_EQ(static_cast<uint32_t>(words.qweight[0]), 0x86427531u);
  EXPECT_EQ(static_cast<uint32_t>(words.qzeros[0]), 0x86427531u);  // the zero itself, not minus one
}

TEST(PackAwq, EveryCellLiesWhereTheFormatSays) {
  const QuantWeight weight = test_weight(4, 32, 24, 96);
  const PackedWords words = pack_awq(weight);
  constexpr int kNibble[8] = {0, 4, 1, 5, 2, 6, 3, 7};  // of column 8 c + j
  const auto field = [&](const std::vector<int32_t>& from, int64_t row, int64_t n) {
    return (static_cast<uint32_t>(from[static_cast<size_t>(row * 3 + n / 8)]) >>
            (4 * kNibble[n % 8])) &
           15;
  };
  for (int64_t n = 0; n < 24; ++n) {
    for (int64_t k = 0; k < 96; ++k) {
      ASSERT_EQ(field(words.qweight, k, n), weight.codes[static_cast<size_t>(n * 96 + k)]);
    }
    for (int64_t g = 0; g < 3; ++g) {
      ASSERT_EQ(field(words.qzeros, g, n), weight.zeros[static_cast<size_t>(n * 3 + g)]);
      ASSERT_EQ(words.scales[static_cast<size_t>(g * 24 + n)],
                weight.scales[static_cast<size_t>(n * 3 + g)]);
    }
  }
  expect_equal(unpack_awq(words.qweight.data(), words.qzeros.data(), words.scales.data(),
                          weight.format, 24, 96),
               weight);
}

TEST(PackGptq, EveryCellLiesWhereTheFormatSays) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const bool v2 : {false, true}) {
      const QuantWeight weight = test_weight(bits, 32, 64, 96);
      const PackedWords words = pack_gptq(weight, v2);
      const auto width = static_cast<size_t>(bits);
      ASSERT_EQ(words.qweight.size(), 96 * width / 32 * 64);
      ASSERT_EQ(words.qzeros.size(), 3 * 64 * width / 32);
      for (size_t n = 0; n < 64; ++n) {
        // Column n, word by word: value k at bit k * bits.
        std::vector<int32_t> column;
        for (size_t r = 0; r < 96 * width / 32; ++r) column.push_back(words.qweight[r * 64 + n]);
        for (size_t k = 0; k < 96; ++k) {
          for (size_t bit = 0; bit < width; ++bit) {
            ASSERT_EQ(bit_at(column, k * width + bit), (weight.codes[n * 96 + k] >> bit) & 1u)
                << bits << " bits, row " << k;
          }
        }
        for (size_t g = 0; g < 3; ++g) {
          const auto first =
              words.qzeros.begin() + static_cast<std::ptrdiff_t>(g * 64 * width / 32);
          const std::vector<int32_t> row(first,
                                         first + static_cast<std::ptrdiff_t>(64 * width / 32));
          const unsigned zero = weight.zeros[n * 3 + g];
          const unsigned stored =
              v2 ? zero : (zero - 1) & static_cast<unsigned>(weight.format.max_code());
          for (size_t bit = 0; bit < width; ++bit) {
            ASSERT_EQ(bit_at(row, n * width + bit), (stored >> bit) & 1u);
          }
        }
      }
      expect_equal(unpack_gptq(words.qweight.data(), words.qzeros.data(), words.scales.data(),
                               weight.format, 64, 96, v2),
                   weight);
    }
  }
}

// The format's own description of 3 bits: three words of 32 values, two of which straddle.
TEST(PackGptq, ThreeBitWords) {
  const QuantWeight weight = test_weight(3, 0, 32, 32);
  const PackedWords words = pack_gptq(weight, true);
  uint32_t v[32], w[3] = {};
  for (size_t k = 0; k < 32; ++k) v[k] = weight.codes[k];  // output 0
  for (unsigned j = 0; j < 10; ++j) w[0] |= v[j] << (3 * j);
  w[0] |= (v[10] & 3) << 30;
  w[1] |= v[10] >> 2;
  for (unsigned j = 11; j < 21; ++j) w[1] |= v[j] << (3 * (j - 11) + 1);
  w[1] |= (v[21] & 1) << 31;
  w[2] |= v[21] >> 1;
  for (unsigned j = 22; j < 32; ++j) w[2] |= v[j] << (3 * (j - 22) + 2);
  for (size_t r = 0; r < 3; ++r) EXPECT_EQ(static_cast<uint32_t>(words.qweight[r * 32]), w[r]);
}

TEST(PackGptq, SymmetricZeros) {
  for (const auto& [bits, v1, v2] : std::vector<std::tuple<int, uint32_t, uint32_t>>{
           {2, 0x55555555, 0xAAAAAAAA}, {4, 0x77777777, 0x88888888}, {8, 0x7F7F7F7F, 0x80808080}}) {
    const QuantWeight weight = test_weight(bits, 32, 32, 32, true);
    for (const int32_t word : pack_gptq(weight, false).qzeros) {
      EXPECT_EQ(static_cast<uint32_t>(word), v1);
    }
    for (const int32_t word : pack_gptq(weight, true).qzeros) {
      EXPECT_EQ(static_cast<uint32_t>(word), v2);
    }
  }
}

// A last group that is short has a scale and a zero of its own.
TEST(PackGptq, TailsOfGroups) {
  const QuantWeight weight = test_weight(4, 64, 8, 96);
  ASSERT_EQ(weight.groups(), 2);
  const PackedWords words = pack_gptq(weight, true);
  expect_equal(unpack_gptq(words.qweight.data(), words.qzeros.data(), words.scales.data(),
                           weight.format, 8, 96, true),
               weight);
}

struct Written {
  TempDirectory directory;
  QuantizationConfig config;

  explicit Written(const QuantWeight& weight) {
    config.format = weight.format;
    config.packed = packed_format_for(weight.format);
    auto output = OutputDirectory::create(directory.file("model"), false);
    EXPECT_TRUE(output.ok());
    auto writer = SafetensorsWriter::create(
        *output, packed_tensors(config.packed, weight.format, weight.out, weight.in, "m"));
    EXPECT_TRUE(writer.ok());
    EXPECT_TRUE(write_packed(*writer, config.packed, "m", weight).ok());
    EXPECT_TRUE(writer->finish().ok());
    const Json json = {{"quantization_config", config.to_json()}};
    EXPECT_TRUE(write_file(output->file("config.json"), dump_json(json)).ok());
    EXPECT_TRUE(output->commit().ok());
  }
};

TEST(Packed, RoundTripThroughACheckpoint) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const bool symmetric : {false, true}) {
      for (const int64_t group : {int64_t{32}, int64_t{0}}) {
        const QuantWeight weight = test_weight(bits, group, 64, 96, symmetric);
        const Written written(weight);
        const auto checkpoint = Checkpoint::open(written.directory.file("model"));
        ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
        const auto config = QuantizationConfig::from_json(checkpoint->config(), "config.json");
        ASSERT_TRUE(config.ok()) << config.error().message;
        ASSERT_TRUE(config->has_value());
        const auto read = read_quantized(*checkpoint, "m", **config, 64, 96);
        ASSERT_TRUE(read.ok()) << read.error().message;
        QuantWeight expected = weight;
        // The gemm layout says nothing of symmetry, and holds asymmetric weights only.
        expect_equal(*read, expected);
        EXPECT_EQ((*config)->packed == PackedFormat::awq_gemm, bits == 4 && !symmetric);
      }
    }
  }
}

TEST(Packed, SymmetricZerosOfEitherVersionAreRecognised) {
  const QuantWeight weight = test_weight(4, 32, 64, 96, true);
  const Written written(weight);
  const auto checkpoint = Checkpoint::open(written.directory.file("model"));
  ASSERT_TRUE(checkpoint.ok());
  QuantizationConfig wrong = written.config;
  wrong.gptq_v2 = true;  // the file stores zero - 1
  const auto read = read_quantized(*checkpoint, "m", wrong, 64, 96);
  ASSERT_TRUE(read.ok()) << read.error().message;
  expect_equal(*read, weight);
}

TEST(Packed, ErrorsNameTheTensor) {
  const Written written(test_weight(4, 32, 64, 96));
  const auto checkpoint = Checkpoint::open(written.directory.file("model"));
  ASSERT_TRUE(checkpoint.ok());
  const QuantizationConfig& config = written.config;
  EXPECT_TRUE(check_quantized(*checkpoint, "m", config, 64, 96).ok());
  expect_error(check_quantized(*checkpoint, "m", config, 64, 128),
               {"model.safetensors: tensor m.qweight is I32 [96, 8], expected I32 [128, 8]"});
  expect_error(check_quantized(*checkpoint, "x", config, 64, 96), {"tensor x.qweight is missing"});
  expect_error(check_quantized(*checkpoint, "m", config, 60, 96),
               {"60 outputs are not a multiple of 8"});
  QuantizationConfig groups = config;
  groups.format.group = 48;
  expect_error(check_quantized(*checkpoint, "m", groups, 64, 96),
               {"m.qzeros is I32 [3, 8], expected I32 [2, 8]"});
}

TEST(Packed, ActOrderAndBadScalesAreRefused) {
  QuantWeight weight = test_weight(4, 32, 64, 96, true);
  const Written written(weight);
  const std::string path = path_join(written.directory.file("model"), "model.safetensors");
  std::string bytes = *read_file(path);
  const auto place = [&](std::string_view name) {
    const auto tensors = parse_safetensors(as_bytes(bytes), "f");
    for (const TensorInfo& tensor : *tensors) {
      if (tensor.name == name) {
        return static_cast<size_t>(tensor.data.data() - as_bytes(bytes).data());
      }
    }
    return size_t{0};
  };
  std::string broken = bytes;
  store_le<int32_t>(broken.data() + place("m.g_idx") + 4 * 40, 2);
  ASSERT_TRUE(write_file(path, broken).ok());
  auto checkpoint = Checkpoint::open(written.directory.file("model"));
  expect_error(read_quantized(*checkpoint, "m", written.config, 64, 96),
               {"tensor m.g_idx holds 2 at element 40, expected 1", "act-order"});
  broken = bytes;
  store_le<uint16_t>(broken.data() + place("m.scales") + 2 * 5, 0x7C00);
  ASSERT_TRUE(write_file(path, broken).ok());
  checkpoint = Checkpoint::open(written.directory.file("model"));
  expect_error(read_quantized(*checkpoint, "m", written.config, 64, 96),
               {"tensor m.scales holds the scale inf at element 5"});
}

}  // namespace
}  // namespace awq
