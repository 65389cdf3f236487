// The reference's integers, bit for bit (data/golden/pseudo_quantize.json).
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/float16.h"
#include "base/json.h"
#include "quant/round.h"

namespace awq {
namespace {

TEST(RoundGolden, HalfArithmeticGivesTheReferencesIntegers) {
  const auto golden =
      read_json_file(path_join(AWQ_SOURCE_DIR, "data/golden/pseudo_quantize.json"));
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  const auto rows = (*golden)["weights"].get<std::vector<std::vector<uint16_t>>>();
  const auto columns = static_cast<int64_t>(rows.front().size());
  FloatTensor weight{{static_cast<int64_t>(rows.size()), columns}, {}};
  for (const auto& row : rows) {
    for (const uint16_t half : row) weight.values.push_back(half_to_float(half));
  }
  ThreadPool pool(1);
  for (const Json& entry : (*golden)["cases"]) {
    const QuantFormat format{entry["bits"].get<int>(), entry["group"].get<int64_t>(),
                             entry["symmetric"].get<bool>()};
    const QuantWeight ours = round_weight(weight, format, pool, Arithmetic::f16);
    const auto codes = entry["codes"].get<std::vector<std::vector<int>>>();
    const auto scales = entry["scales"].get<std::vector<std::vector<uint16_t>>>();
    const int offset = format.symmetric ? 1 << (format.bits - 1) : 0;
    const auto groups = static_cast<size_t>(format.groups(columns));
    for (size_t row = 0; row < rows.size(); ++row) {
      const std::string where = cat(format_name(format), " row ", row, ": ",
                                    (*golden)["rows"][row].get<std::string>());
      for (size_t i = 0; i < codes[row].size(); ++i) {
        ASSERT_EQ(ours.codes[row * static_cast<size_t>(columns) + i], codes[row][i] + offset)
            << where << ", element " << i;
      }
      for (size_t g = 0; g < groups; ++g) {
        ASSERT_EQ(ours.scales[row * groups + g], scales[row][g]) << where << ", group " << g;
        if (format.symmetric) continue;
        ASSERT_EQ(ours.zeros[row * groups + g], entry["zeros"][row][g].get<int>()) << where;
      }
    }
  }
}

}  // namespace
}  // namespace awq
