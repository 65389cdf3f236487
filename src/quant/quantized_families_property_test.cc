// Quantization of every family in the table: what is written is what was rounded, what runs packed is
// what its integers say, and calibration, folding and clipping keep the model.
#include <set>

#include "base/float16.h"
#include "checkpoint/test_files.h"
#include "model/golden.h"
#include "quant/bit_allocation.h"
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

  FormatPlan all_in(const QuantFormat& format) const {
    return FormatPlan(source.reader->arch(), format);
  }

  std::vector<int32_t> calibration_tokens() const {
    const auto vocab = static_cast<int32_t>(source.reader->arch().sizes.vocab);
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < 8 * 32; ++i) tokens.push_back((i * 37 + i / 7) % vocab);
    return tokens;
  }

  // The report, or null where the shapes have no layout in these formats.
  Json quantize(const QuantizeOptions& options, const std::string& target) {
    if (!check_formats(*source.reader, options.formats).ok()) return nullptr;
    auto output = OutputDirectory::create(target, false);
    EXPECT_TRUE(output.ok());
    QuantizeJournal journal(*output, Json::object());
    const auto report =
        quantize_model(*source.reader, ops, calibration_tokens(), options, *output, journal);
    EXPECT_TRUE(report.ok()) << report.error().message;
    EXPECT_TRUE(output->commit().ok());
    return report.ok() ? *report : Json();
  }

  // The same, stopped after the first block and begun again.
  Json quantize_in_two_runs(const QuantizeOptions& options, const std::string& target) {
    const auto run = [&](bool resume, const std::vector<int32_t>& tokens) -> Result<Json> {
      AWQ_ASSIGN(OutputDirectory output, OutputDirectory::create(target, false, {}, resume));
      QuantizeJournal journal(output, Json::object());
      if (resume) {
        AWQ_ASSIGN(const bool resumed, journal.resume());
        EXPECT_TRUE(resumed);
        EXPECT_EQ(journal.layers(), 1);
      }
      auto report = quantize_model(*source.reader, ops, tokens, options, output, journal, {},
                                   [&] { return !resume; });
      if (report.ok()) {
        AWQ_TRY(output.commit());
      } else {
        output.keep();
      }
      return report;
    };
    EXPECT_FALSE(run(false, calibration_tokens()).ok());
    // A forged journal's tokens, of no vocabulary; then those that were kept.
    const auto forged = run(true, {0, -1});
    EXPECT_TRUE(!forged.ok() && forged.error().message.find("token 1") != std::string::npos);
    auto report = run(true, calibration_tokens());
    EXPECT_TRUE(report.ok()) << report.error().message;
    return report.ok() ? *report : Json();
  }

  // Formats that differ: layer 0 keeps o in float, layer 1 what lies in one tensor with q; the rest
  // of layer 1 has 4 bits where that has a layout.
  FormatPlan mixed_formats() const {
    const Arch& arch = source.reader->arch();
    FormatPlan plan = all_in({8, 8, false});
    plan.set(0, Slot::o, 0);
    for (const Slot slot : placed(Slot::q, 1).sharers) plan.set(1, slot, 0);
    FormatPlan narrow = plan;
    for (const Linear& linear : block_linears(arch.block)) {
      if (plan.of(1, linear.slot)) narrow.set(1, linear.slot, 4);
    }
    return check_formats(*source.reader, narrow).ok() ? narrow : plan;
  }

  Placement placed(Slot slot, int64_t layer) const {
    const Arch& arch = source.reader->arch();
    return placement(source.reader->family(), Container::hugging_face, arch, slot,
                     linear_shape(arch, *find_linear(arch.block, slot))[0], layer);
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
    options.formats = all_in(format);
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

// At 8 bits the search, the folds, the clips and GPTQ's rounding must leave the model as it was,
// written or kept in memory.
TEST_P(QuantizedFamily, EveryMethodAtEightBitsKeepsTheModel) {
  struct Way {
    const char* name;
    Method method;
    SearchLoss loss;
    bool best;
  };
  const Arch& arch = source.reader->arch();
  const auto expect_kept = [&](const Model& model, const char* name) {
    const std::vector<float> logits = logits_of(model);
    double error = 0, energy = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      error += std::pow(double{logits[i]} - golden.logits[i], 2);
      energy += std::pow(double{golden.logits[i]}, 2);
    }
    EXPECT_LT(error, 1e-2 * energy) << name;
  };
  const Ops scalar = *make_cpu_ops(*device, "scalar");
  for (const Way& way : {Way{"hessian", Method::awq, SearchLoss::hessian, false},
                         {"module", Method::awq, SearchLoss::module, false},
                         {"gptq", Method::gptq, SearchLoss::hessian, false},
                         {"awq+gptq", Method::awq_gptq, SearchLoss::hessian, false},
                         {"best", Method::awq_gptq, SearchLoss::hessian, true}}) {
    QuantizeOptions options;
    options.method = way.method;
    options.formats = all_in({8, 8, false});
    options.calibration_length = 32;
    options.grid = 6;
    options.search_loss = way.loss;
    options.best = way.best;
    const std::string target = directory.file(way.name);
    const Json report = quantize(options, target);
    ASSERT_FALSE(report.is_null()) << way.name;
    if (const auto* moe = std::get_if<MoeFfn>(&arch.block.ffn)) {
      int64_t seen = 0;
      for (const Json& count : report["experts"][0]["tokens"]) seen += count.get<int64_t>();
      EXPECT_EQ(seen, (8 - options.held_out(8)) * 32 * moe->per_token) << way.name;
    }
    const Loaded packed = open_model(target);
    ASSERT_NE(packed.reader, nullptr);
    const auto model = load_model(*packed.reader, scalar);
    ASSERT_TRUE(model.ok()) << model.error().message;
    expect_kept(*model, way.name);
    if (way.loss == SearchLoss::module) continue;
    const auto held = quantize_in_memory(*source.reader, scalar, calibration_tokens(), options);
    ASSERT_TRUE(held.ok()) << held.error().message;
    expect_kept(*held, way.name);
  }
}

// Few tokens starve experts: their weights are those of plain rounding, and the report names them.
TEST_P(QuantizedFamily, StarvedExpertsAreRoundedPlainly) {
  const Arch& arch = source.reader->arch();
  const auto* moe = std::get_if<MoeFfn>(&arch.block.ffn);
  if (moe == nullptr) GTEST_SKIP() << "no experts";
  QuantizeOptions options;
  options.method = Method::gptq;
  options.formats = all_in({8, 8, false});
  options.calibration_length = 8;
  const std::vector<int32_t> tokens(8, 1);
  const std::string target = directory.file("starved");
  auto output = OutputDirectory::create(target, false);
  ASSERT_TRUE(output.ok());
  QuantizeJournal journal(*output, Json::object());
  const auto report = quantize_model(*source.reader, ops, tokens, options, *output, journal);
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_TRUE(output->commit().ok());
  EXPECT_EQ((*report)["starved_experts"].size(),
            static_cast<size_t>(moe->experts * arch.sizes.layers));
  const Loaded packed = open_model(target);
  ASSERT_NE(packed.reader, nullptr);
  const auto block = source.reader->read_block(0, device->pool());
  ASSERT_TRUE(block.ok());
  for (const Linear& linear : block_linears(arch.block)) {
    if (linear.slot < Slot::expert_gate) continue;
    const auto read = packed.reader->read_quantized_linear(linear, 0);
    ASSERT_TRUE(read.ok()) << read.error().message;
    const QuantWeight rounded =
        round_weight((*block)[linear.slot].weight, {8, 8, false}, device->pool());
    EXPECT_EQ(read->codes, rounded.codes) << slot_name(linear.slot);
  }
}

// What has no format comes back as the halves it was written in, the rest in its own bits; the parts
// of one tensor cannot differ.
TEST_P(QuantizedFamily, FormatsOfLinearsAreKept) {
  const Arch& arch = source.reader->arch();
  QuantizeOptions options;
  options.method = Method::rtn;
  options.formats = mixed_formats();
  const std::string target = directory.file("mixed");
  ASSERT_FALSE(quantize(options, target).is_null());
  const Loaded packed = open_model(target);
  ASSERT_NE(packed.reader, nullptr);
  for (int64_t layer = 0; layer < 2; ++layer) {
    const auto block = source.reader->read_block(layer, device->pool());
    ASSERT_TRUE(block.ok());
    for (const Linear& linear : block_linears(arch.block)) {
      const auto format = options.formats.of(layer, linear.slot);
      EXPECT_EQ(packed.reader->is_quantized(linear.slot, layer), format.has_value());
      FloatTensor expected = (*block)[linear.slot].weight;
      if (format) {
        const auto read = packed.reader->read_quantized_linear(linear, layer);
        ASSERT_TRUE(read.ok()) << read.error().message;
        EXPECT_EQ(read->format.bits, format->bits);
        EXPECT_EQ(read->codes, round_weight(expected, *format, device->pool()).codes);
      } else {
        const auto read = packed.reader->read_weight(linear.slot, layer,
                                                     linear_shape(arch, linear), device->pool());
        ASSERT_TRUE(read.ok()) << read.error().message;
        if (!linear.keep_float) round_to_half(expected);
        EXPECT_EQ(read->values, expected.values) << slot_name(linear.slot);
      }
      if (!linear.keep_float && placed(linear.slot, layer).fused()) {
        FormatPlan torn = all_in({8, 8, false});
        torn.set(layer, linear.slot, 2);
        const Status status = check_formats(*source.reader, torn);
        ASSERT_FALSE(status.ok());
        EXPECT_NE(status.error().message.find("written as one tensor"), std::string::npos)
            << status.error().message;
      }
    }
  }
}

// A run that goes on where one was stopped makes the same bytes and the same report: fused and kept
// tensors, norms of heads, activation scales and experts come back as they were written.
TEST_P(QuantizedFamily, AStoppedRunGoesOnToTheSameBytes) {
  QuantizeOptions options;
  options.method = Method::awq_gptq;
  options.formats = mixed_formats();
  options.calibration_length = 32;
  options.grid = 4;
  const std::string whole = directory.file("whole"), resumed = directory.file("resumed");
  const Json expected = quantize(options, whole), report = quantize_in_two_runs(options, resumed);
  ASSERT_FALSE(expected.is_null() || report.is_null());
  for (const char* part : {"groups", "linears", "experts", "starved_experts"}) {
    EXPECT_EQ(expected.value(part, Json()), report.value(part, Json())) << part;
  }
  for (const char* file : {"model.safetensors", "config.json"}) {
    const auto a = read_file(path_join(whole, file)), b = read_file(path_join(resumed, file));
    ASSERT_TRUE(a.ok() && b.ok());
    EXPECT_TRUE(*a == *b) << file;
  }
}

// Bits by linear to a target: within it, in a plan that can be written and read, one width for the
// parts of a tensor and for what reads one input.
TEST_P(QuantizedFamily, BitsToATargetCanBeWritten) {
  const Arch& arch = source.reader->arch();
  QuantizeOptions options;
  options.formats = all_in({8, 8, false});
  options.calibration_length = 32;
  const double narrow = all_in({4, 8, false}).bits_per_weight(arch);
  const double wide = options.formats.bits_per_weight(arch), target = (narrow + wide) / 2;
  const auto allocation =
      choose_bits(*source.reader, ops, calibration_tokens(), {target, 0}, options);
  ASSERT_TRUE(allocation.ok()) << allocation.error().message;
  EXPECT_LE(options.formats.bits_per_weight(arch), target + 1e-6);
  for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
    std::set<Slot> seen;
    for (const BitItem& item : bit_items(*source.reader, all_in({8, 8, false}), layer)) {
      for (const Slot slot : item.slots) {
        EXPECT_TRUE(seen.insert(slot).second) << slot_name(slot);
        EXPECT_EQ(options.formats.of(layer, slot), options.formats.of(layer, item.slots[0]));
        for (const Slot other : placed(slot, layer).sharers) {
          EXPECT_EQ(options.formats.of(layer, slot), options.formats.of(layer, other));
        }
      }
    }
    for (const Linear& linear : block_linears(arch.block)) {
      EXPECT_EQ(seen.count(linear.slot), linear.keep_float ? 0u : 1u) << slot_name(linear.slot);
    }
  }
  const std::string target_path = directory.file("targeted");
  ASSERT_FALSE(quantize(options, target_path).is_null());
  const Loaded packed = open_model(target_path);
  ASSERT_NE(packed.reader, nullptr);
  EXPECT_TRUE(load_model(*packed.reader, ops).ok());
}

std::string quantized_name(const testing::TestParamInfo<std::string>& test) {
  return golden_test_name(test.param);
}

INSTANTIATE_TEST_SUITE_P(Families, QuantizedFamily, testing::ValuesIn(family_goldens()),
                         quantized_name);

}  // namespace
}  // namespace awq
