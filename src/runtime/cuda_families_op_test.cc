// Every golden checkpoint on the CUDA backend: no field of a record may be lost there. Skipped without
// a device.
#include "kernels/cuda_test.h"
#include "model/golden.h"
#include "runtime/engine.h"

namespace awq {
namespace {

class CudaFamilies : public CudaTest, public testing::WithParamInterface<std::string> {};

// Halves of activations meet halves of weights in products of many tokens: wider than the CPU's bound,
// far below what a missing norm, bias, window or slope would do.
TEST_P(CudaFamilies, PromptAndStepsEqualTransformers) {
  const auto checkpoint = Checkpoint::open(path_join(families_path(), GetParam()));
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  const auto reader = TensorReader::open(*checkpoint);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  const auto model = load_model(*reader, cuda);
  ASSERT_TRUE(model.ok()) << model.error().message;
  const Golden golden = read_family_golden(GetParam());
  const auto vocab = static_cast<size_t>(model->arch.sizes.vocab);
  float size = 0;
  for (const float value : golden.logits) size = std::max(size, std::fabs(value));

  Engine engine(*model);
  KvCache cache(*device, model->arch, 64, DType::f32);
  const std::span<const float> last =
      engine.on_host(engine.logits(engine.prefill(cache, golden.prompt)));
  EXPECT_LT(largest_difference(last, std::span(golden.logits).last(vocab)), 2e-2f * size);

  const auto* rope = std::get_if<Rope>(&model->arch.block.attention.kinds.front().positions);
  if (rope != nullptr && rope->scaling.kind == RopeScaling::Kind::dynamic) return;
  for (size_t step = 0; step + 1 < golden.greedy_ids.size(); ++step) {
    const std::span<const float> got =
        engine.on_host(engine.decode(cache, golden.greedy_ids[step]));
    EXPECT_LT(largest_difference(
                  got, std::span(golden.greedy_logits).subspan((step + 1) * vocab, vocab)),
              2e-2f * size)
        << "step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, CudaFamilies, testing::ValuesIn(family_goldens()),
                         [](const auto& test) { return golden_test_name(test.param); });

}  // namespace
}  // namespace awq
