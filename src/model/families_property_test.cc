// What must hold for every family in the table, looped over all golden checkpoints.
#include <fstream>
#include <map>
#include <set>

#include "checkpoint/test_files.h"
#include "checkpoint/writer.h"
#include "model/decode_spec.h"
#include "model/fold.h"
#include "model/golden.h"
#include "model/test_model.h"

namespace awq {
namespace {

// Keys that were turned before the sequence outgrew its context keep their angles: how a long prompt
// was cut changes the result, in transformers too.
bool outgrows(const Arch& arch, int64_t length) {
  for (const LayerAttention& kind : arch.block.attention.kinds) {
    const auto* rope = std::get_if<Rope>(&kind.positions);
    if (rope != nullptr && beyond_original(*rope, length)) return true;
  }
  return false;
}

class FamilyProperty : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto opened = Checkpoint::open(path_join(families_path(), GetParam()));
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    checkpoint = std::make_unique<Checkpoint>(std::move(*opened));
    auto read = TensorReader::open(*checkpoint);
    ASSERT_TRUE(read.ok()) << read.error().message;
    reader = std::make_unique<TensorReader>(std::move(*read));
    golden = read_family_golden(GetParam());
    ops = *make_cpu_ops(*device);
    auto loaded = load_model(*reader, ops);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    model = std::make_unique<Model>(std::move(*loaded));
  }

  int64_t tokens() const { return static_cast<int64_t>(golden.prompt.size()); }
  std::vector<float> logits_of(const Model& of) const {
    return GoldenRun(of, tokens() + 8).feed(golden.prompt);
  }

  std::unique_ptr<Device> device = make_cpu_device(2);
  Ops ops;
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<TensorReader> reader;
  std::unique_ptr<Model> model;
  Golden golden;
};

TEST_P(FamilyProperty, PrefillEqualsStepsAndChunks) {
  if (outgrows(model->arch, tokens())) GTEST_SKIP() << "positions depend on the length";
  const std::vector<float> whole = logits_of(*model);
  for (const size_t chunk : {size_t{1}, size_t{7}}) {
    GoldenRun run(*model, tokens());
    std::vector<float> parts;
    for (size_t first = 0; first < golden.prompt.size(); first += chunk) {
      const auto part = std::span(golden.prompt).subspan(
          first, std::min(chunk, golden.prompt.size() - first));
      const std::vector<float> logits = run.feed(part);
      parts.insert(parts.end(), logits.begin(), logits.end());
    }
    EXPECT_LT(largest_difference(parts, whole), 1e-4f) << "chunks of " << chunk;
  }
}

// Against transformers, which ran the whole text again for each step.
TEST_P(FamilyProperty, GreedyStepsEqualTransformers) {
  const auto* rope = std::get_if<Rope>(&model->arch.block.attention.kinds.front().positions);
  if (rope != nullptr && rope->scaling.kind == RopeScaling::Kind::dynamic &&
      outgrows(model->arch, tokens() + 8)) {
    GTEST_SKIP() << "cached keys keep the angles of their length";
  }
  const auto vocab = static_cast<size_t>(model->arch.sizes.vocab);
  GoldenRun run(*model, tokens() + 8);
  std::vector<float> logits = run.feed(golden.prompt);
  ASSERT_EQ(golden.greedy_logits.size(), golden.greedy_ids.size() * vocab);
  for (size_t step = 0; step < golden.greedy_ids.size(); ++step) {
    const std::span<const float> row = std::span(logits).last(vocab);
    EXPECT_LT(largest_difference(row, std::span(golden.greedy_logits).subspan(step * vocab, vocab)),
              1e-4f)
        << "step " << step;
    EXPECT_EQ(std::max_element(row.begin(), row.end()) - row.begin(), golden.greedy_ids[step]);
    logits = run.feed({&golden.greedy_ids[step], 1});
  }
}

TEST_P(FamilyProperty, FoldingRandomScalesKeepsTheLogits) {
  const std::vector<float> before = logits_of(*model);
  TestRandom random(11);
  for (int64_t layer = 0; layer < model->arch.sizes.layers; ++layer) {
    auto block = reader->read_block(layer, device->pool());
    ASSERT_TRUE(block.ok()) << block.error().message;
    for (const FoldGroup& group : fold_groups(model->arch)) {
      std::vector<float> scale(static_cast<size_t>(fold_channels(model->arch, group)));
      for (float& s : scale) s = std::exp(random.next());
      apply_fold(model->arch, group, scale, *block);
    }
    model->blocks[static_cast<size_t>(layer)] = pack_block(model->arch, *block, ops);
  }
  float size = 0;
  for (const float value : before) size = std::max(size, std::fabs(value));
  EXPECT_LT(largest_difference(logits_of(*model), before), 1e-4f * size);
}

// A backend's plan of a decode step must never be offered a decoder that DecodeSpec has no words for, and
// plans that know plain ones must be told so. That planned steps are right: decode_families_op_test.
TEST_P(FamilyProperty, DecodeSpecDeclinesWhatItCannotSay) {
  const std::set<std::string> declined = {"llama-dynamic", "llama-dynamic-long", "mixtral", "opt-350m",
                                          "phi3-longrope", "phi3-longrope-long", "qwen3-moe"};
  const std::set<std::string> plain = {"llama-linear", "phi4-mini"};
  std::vector<float> kv(16);
  const std::vector<KvView> caches(static_cast<size_t>(model->arch.sizes.layers),
                                   KvView{kv.data(), kv.data(), DType::f32, 8});
  const std::optional<DecodeSpec> spec = decode_spec(*model, caches, 16);
  EXPECT_EQ(!spec.has_value(), declined.contains(GetParam()));
  EXPECT_EQ(spec.has_value() && is_plain(*spec), plain.contains(GetParam()));
}

// The groups that data/golden/families/fold_groups.txt tells, checked by hand against the reference's
// lists: "name: group; group; ...".
TEST_P(FamilyProperty, FoldGroups) {
  std::ifstream file(path_join(families_path(), "fold_groups.txt"));
  std::map<std::string, std::string> known;
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (colon != line.npos) known[line.substr(0, colon)] = line.substr(colon + 2);
  }
  std::string groups;
  for (const FoldGroup& group : fold_groups(model->arch)) {
    groups += cat(groups.empty() ? "" : "; ", group.name());
  }
  EXPECT_EQ(groups, known[GetParam()]) << GetParam() << ": " << groups;
}

// The same tensors in shards of a few.
TEST_P(FamilyProperty, Sharded) {
  TempDirectory directory;
  auto output = OutputDirectory::create(directory.file("model"), false);
  ASSERT_TRUE(output.ok()) << output.error().message;
  std::vector<TensorDeclaration> declared;
  for (const TensorInfo& tensor : checkpoint->tensors()) {
    declared.push_back({tensor.name, tensor.dtype, tensor.shape});
  }
  auto writer = SafetensorsWriter::create(*output, declared, 20000);
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  for (const TensorInfo& tensor : checkpoint->tensors()) {
    ASSERT_TRUE(writer->write(tensor.name, tensor.data.data(), tensor.data.size()).ok());
  }
  ASSERT_TRUE(writer->finish().ok());
  ASSERT_TRUE(write_file(output->file("config.json"), dump_json(checkpoint->config(), 1)).ok());
  ASSERT_TRUE(output->commit().ok());
  const auto sharded = Checkpoint::open(directory.file("model"));
  ASSERT_TRUE(sharded.ok()) << sharded.error().message;
  EXPECT_GT(sharded->files().size(), 2u);
  const auto again = TensorReader::open(*sharded);
  ASSERT_TRUE(again.ok()) << again.error().message;
  const auto loaded = load_model(*again, ops);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(logits_of(*loaded), logits_of(*model));
}

std::string property_name(const testing::TestParamInfo<std::string>& test) {
  return golden_test_name(test.param);
}

INSTANTIATE_TEST_SUITE_P(Families, FamilyProperty, testing::ValuesIn(family_goldens()),
                         property_name);

}  // namespace
}  // namespace awq
