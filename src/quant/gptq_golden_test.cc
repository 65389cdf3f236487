// GPTQ against an independent rendering (data/golden/gptq.json): the same integers, bit for bit.
#include <gtest/gtest.h>

#include <sstream>

#include "base/file.h"
#include "base/float16.h"
#include "base/json.h"
#include "quant/gptq.h"

namespace awq {
namespace {

struct Golden {
  Json json;
  FloatTensor weight;
  std::vector<float> gram;
};

Golden read_golden() {
  const auto json = read_json_file(path_join(AWQ_SOURCE_DIR, "data/golden/gptq.json"));
  EXPECT_TRUE(json.ok()) << json.error().message;
  Golden golden{*json, {}, {}};
  const auto rows = golden.json["weights"].get<std::vector<std::vector<uint16_t>>>();
  const size_t width = rows.front().size();
  golden.weight.shape = {static_cast<int64_t>(rows.size()), static_cast<int64_t>(width)};
  for (const auto& row : rows) {
    for (const uint16_t half : row) golden.weight.values.push_back(half_to_float(half));
  }
  golden.gram.resize(width * width);
  for (size_t i = 0; i < width; ++i) {
    std::istringstream row(golden.json["hessian_rows"][i].get<std::string>());
    for (size_t j = i; j < width; ++j) {
      row >> golden.gram[i * width + j];
      golden.gram[j * width + i] = golden.gram[i * width + j];
    }
  }
  return golden;
}

std::vector<uint8_t> from_hex(const std::string& text) {
  std::vector<uint8_t> values;
  for (size_t i = 0; i < text.size(); i += 2) {
    values.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return values;
}

TEST(GptqGolden, TheSameIntegersAsAnIndependentRendering) {
  const Golden golden = read_golden();
  const int64_t width = golden.weight.shape[1];
  for (const int threads : {1, 2}) {
    ThreadPool pool(threads);
    for (const Json& entry : golden.json["cases"]) {
      const QuantFormat format{entry["bits"].get<int>(), entry["group"].get<int64_t>(),
                               entry["symmetric"].get<bool>()};
      const std::string where =
          cat(format_name(format), entry["act_order"].get<bool>() ? ", act-order" : "");
      FactorOptions options;
      options.act_order = entry["act_order"].get<bool>();
      const auto factor = inverse_factor(golden.gram, width, options, pool);
      ASSERT_TRUE(factor.ok()) << factor.error().message;
      EXPECT_EQ(factor->dead, 2);
      std::vector<float> keep;
      for (const auto& row : entry["keep_sixteenths"].get<std::vector<std::vector<int>>>()) {
        for (const int value : row) keep.push_back(static_cast<float>(value) / 16);
      }
      const QuantWeight ours = gptq_round(golden.weight, *factor, format, keep, pool);
      std::vector<uint8_t> codes;
      for (const Json& row : entry["codes"]) {
        const auto values = from_hex(row.get<std::string>());
        codes.insert(codes.end(), values.begin(), values.end());
      }
      EXPECT_EQ(ours.codes, codes) << where;
      const auto groups = static_cast<size_t>(ours.groups());
      for (size_t row = 0; row < static_cast<size_t>(ours.out); ++row) {
        for (size_t g = 0; g < groups; ++g) {
          EXPECT_EQ(ours.scales[row * groups + g], entry["scales"][row][g].get<int>()) << where;
          EXPECT_EQ(ours.zeros[row * groups + g], entry["zeros"][row][g].get<int>()) << where;
        }
      }
    }
  }
}

}  // namespace
}  // namespace awq
