// Quantization of every family in the table: what is written is what was rounded, what runs packed is
// what its integers say, and calibration, folding and clipping keep the model.
#include "base/float16.h"
#include "checkpoint/test_files.h"
#include "model/golden.h"
#include "quant/quantize.h"

namespace awq {
namespace {

struct Loaded {
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<TensorReader> reader;
};

Loaded open_model(const std::string& path) {
  auto checkpoint = Checkpoint::open(path);
  EXPECT_TRUE(checkpoint.ok()) << (checkpoint.ok() ? "" : checkpoint.error().message);
  if (!checkpoint.ok()) return {};
  Loaded loaded{std::make_unique<Checkpoint>(std::move(*checkpoint)), nullptr};
  auto reader = TensorReader::open(*loaded.checkpoint);
  EXPECT_TRUE(reader.ok()) << (reader.ok() ? "" : reader.error().message);
  if (reader.ok()) loaded.reader = std::make_unique<TensorReader>(std::move(*reader));
  return loaded;
}

class QuantizedFamily : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    source = open_model(path_join(families_path(), GetParam()));
    ASSERT_NE(source.reader, nullptr);
    golden = read_family_golden(GetParam());
    ops = *make_cpu_ops(*device);
  }

  // The report, or null where the shapes have no layout in this format.
  Json quantize(const QuantizeOptions& options, const std::string& target) {
    if (!check_format(source.reader->arch(), options.format).ok()) return nullptr;
    const auto vocab = static_cast<int32_t>(source.reader->arch().sizes.vocab);
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < 8 * 32; ++i) tokens.push_back((i * 37 + i / 7) % vocab);
    auto output = OutputDirectory::create(target, false);
    EXPECT_TRUE(output.ok());
    const auto report = quantize_model(*source.reader, ops, tokens, options, *output, {});
    EXPECT_TRUE(report.ok()) << report.error().message;
    EXPECT_TRUE(output->commit().ok());
    return report.ok() ? *report : Json();
  }

  std::vector<float> logits_of(const Model& model) const {
    const auto tokens = static_cast<int64_t>(golden.prompt.size());
    return GoldenRun(model, tokens).feed(golden.prompt);
  }

  std::unique_ptr<Device> device = make_cpu_device(2);
  Ops ops;
  Loaded source;
  Golden golden;
  TempDirectory directory;
};

std::vector<float> dequantized(const QuantWeight& weight) {
  std::vector<float> values;
  const int64_t groups = weight.groups(), group = weight.format.group_size(weight.in);
  for (int64_t row = 0; row < weight.out; ++row) {
    for (int64_t i = 0; i < weight.in; ++i) {
      const auto at = static_cast<size_t>(row * groups + i / group);
      const int code = weight.codes[static_cast<size_t>(row * weight.in + i)];
      values.push_back(static_cast<float>(code - weight.zeros[at]) *
                       half_to_float(weight.scales[at]));
    }
  }
  return values;
}

// Integers come back as they were rounded, in the slot they were rounded for; the packed model is the
// model of the dequantized weights.
TEST_P(QuantizedFamily, EveryFormatRoundTrips) {
  const Arch& arch = source.reader->arch();
  const QuantFormat formats[] = {
      {4, 8, false}, {4, 8, true}, {8, 0, false}, {2, 8, false}, {3, 0, true}};
  int known = 0;
  for (const QuantFormat& format : formats) {
    QuantizeOptions options;
    options.method = Method::rtn;
    options.format = format;
    const std::string target = directory.file(format_name(format));
    if (quantize(options, target).is_null()) continue;
    ++known;
    const Loaded packed = open_model(target);
    ASSERT_NE(packed.reader, nullptr);
    const auto running = load_model(*packed.reader, ops);
    auto plain = load_model(*packed.reader, ops);
    ASSERT_TRUE(running.ok() && plain.ok());
    for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
      const auto block = source.reader->read_block(layer, device->pool());
      ASSERT_TRUE(block.ok());
      for (const Linear& linear : block_linears(arch.block)) {
        EXPECT_EQ(packed.reader->is_quantized(linear.slot, layer), !linear.keep_float);
        if (linear.keep_float) continue;
        const auto read = packed.reader->read_quantized_linear(linear, layer);
        ASSERT_TRUE(read.ok()) << read.error().message;
        const QuantWeight rounded = round_weight((*block)[linear.slot].weight, format,
                                                 device->pool(), options.arithmetic);
        EXPECT_EQ(read->codes, rounded.codes) << format_name(format) << slot_name(linear.slot);
        EXPECT_EQ(read->scales, rounded.scales);
        EXPECT_EQ(read->zeros, rounded.zeros);
        const std::vector<float> values = dequantized(*read);
        plain->blocks[static_cast<size_t>(layer)].linear(linear.slot).weight =
            ops.pack_float(*device, {values.data(), DType::f32, read->out, read->in});
      }
    }
    const std::vector<float> expected = logits_of(*plain);
    float size = 0;
    for (const float value : expected) size = std::max(size, std::fabs(value));
    // Codes of 8 bits and less are exact; VNNI kernels round activations, within the op's own bound.
    EXPECT_LT(largest_difference(logits_of(*running), expected), 2e-2f * size)
        << format_name(format);
    const auto scalar = *make_cpu_ops(*device, "scalar");
    const auto exact = load_model(*packed.reader, scalar);
    ASSERT_TRUE(exact.ok());
    EXPECT_LT(largest_difference(logits_of(*exact), expected), 1e-4f * size)
        << format_name(format);
  }
  EXPECT_GE(known, 3);
}

// At 8 bits the search, the folds and the clips must leave the model as it was.
TEST_P(QuantizedFamily, AwqAtEightBitsKeepsTheModel) {
  for (const SearchLoss loss : {SearchLoss::hessian, SearchLoss::module}) {
    QuantizeOptions options;
    options.format = {8, 8, false};
    options.calibration_length = 32;
    options.grid = 6;
    options.search_loss = loss;
    const std::string target = directory.file(loss == SearchLoss::module ? "module" : "hessian");
    const Json report = quantize(options, target);
    ASSERT_FALSE(report.is_null());
    const Arch& arch = source.reader->arch();
    if (const auto* moe = std::get_if<MoeFfn>(&arch.block.ffn)) {
      int64_t seen = 0;
      for (const Json& count : report["experts"][0]["tokens"]) seen += count.get<int64_t>();
      EXPECT_EQ(seen, 256 * moe->per_token);
    }
    const Loaded packed = open_model(target);
    ASSERT_NE(packed.reader, nullptr);
    const auto model = load_model(*packed.reader, *make_cpu_ops(*device, "scalar"));
    ASSERT_TRUE(model.ok()) << model.error().message;
    const std::vector<float> logits = logits_of(*model);
    double error = 0, energy = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      error += std::pow(double{logits[i]} - golden.logits[i], 2);
      energy += std::pow(double{golden.logits[i]}, 2);
    }
    EXPECT_LT(error, 1e-2 * energy);
  }
}

std::string quantized_name(const testing::TestParamInfo<std::string>& test) {
  std::string name = test.param;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
}

INSTANTIATE_TEST_SUITE_P(Families, QuantizedFamily, testing::ValuesIn(family_goldens()),
                         quantized_name);

}  // namespace
}  // namespace awq
