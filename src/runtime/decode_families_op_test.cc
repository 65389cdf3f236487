// The planned decode step of the CPU tables for every golden checkpoint: the bits of the walk over the
// ops, whatever a family's blocks are made of.
#include <cstring>

#include "kernels/op_test_data.h"
#include "model/golden.h"
#include "runtime/engine.h"

namespace awq {
namespace {

class DecodeFamilies : public testing::TestWithParam<std::string> {
 protected:
  // Logits of the prompt's tokens, one by one.
  std::vector<std::vector<float>> run(const Ops& ops, bool planned) const {
    const auto checkpoint = Checkpoint::open(path_join(families_path(), GetParam()));
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.error().message;
    const auto reader = TensorReader::open(*checkpoint);
    EXPECT_TRUE(reader.ok()) << reader.error().message;
    const auto model = load_model(*reader, ops);
    EXPECT_TRUE(model.ok()) << model.error().message;
    Engine engine(*model);
    KvCache cache(engine.device(), model->arch, 64, DType::f16);
    std::vector<std::vector<float>> all;
    for (const int32_t token : read_family_golden(GetParam()).prompt) {
      const Feed feed{&cache, {&token, 1}};
      const Matrix logits =
          planned ? engine.decode(cache, token) : engine.logits(engine.forward({&feed, 1}));
      all.emplace_back(logits.data, logits.data + logits.cols);
    }
    return all;
  }
};

TEST_P(DecodeFamilies, EqualsTheWalkWithAnyThreads) {
  const auto two = make_cpu_device(2);
  const std::vector<Ops> walked = fast_tables(*two);
  for (size_t i = 0; i < walked.size(); ++i) {
    const auto want = run(walked[i], false);
    for (const int threads : {1, 3}) {
      const auto device = make_cpu_device(threads);
      const auto got = run(fast_tables(*device)[i], true);
      ASSERT_EQ(got.size(), want.size());
      for (size_t t = 0; t < want.size(); ++t) {
        ASSERT_EQ(std::memcmp(got[t].data(), want[t].data(), want[t].size() * sizeof(float)), 0)
            << walked[i].name << ", " << threads << " threads, token " << t;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, DecodeFamilies, testing::ValuesIn(family_goldens()),
                         [](const auto& test) { return golden_test_name(test.param); });

}  // namespace
}  // namespace awq
