// The golden checkpoints of data/golden for tests: what to expect, and a model to run.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "kernels/cpu.h"
#include "model/forward.h"
#include "model/tensor_reader.h"

namespace awq {

struct Golden {
  std::vector<int32_t> prompt, greedy_ids;
  std::vector<float> logits, greedy_logits;  ///< [tokens, vocab], [steps, vocab]
};

template <class T>
std::vector<T> golden_values(const std::vector<TensorInfo>& tensors, std::string_view name) {
  for (const TensorInfo& tensor : tensors) {
    if (tensor.name != name) continue;
    std::vector<T> values(tensor.data.size() / sizeof(T));
    std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
    return values;
  }
  ADD_FAILURE() << name << " is missing";
  return {};
}

inline std::string families_path() {
  return path_join(AWQ_SOURCE_DIR, "data/golden/families");
}

/// Every folder of data/golden/families: the whole table is tested, whoever adds to it.
inline std::vector<std::string> family_goldens() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(families_path())) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// The name of a golden as that of a test: '_' for '-'.
inline std::string golden_test_name(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

inline Golden read_family_golden(const std::string& name) {
  const auto file = MappedFile::open(path_join(families_path(), name + "/expected.safetensors"));
  EXPECT_TRUE(file.ok()) << name;
  const auto tensors = parse_safetensors(file->bytes(), "expected");
  EXPECT_TRUE(tensors.ok()) << name;
  return {golden_values<int32_t>(*tensors, "prompt_ids"),
          golden_values<int32_t>(*tensors, "greedy_ids"),
          golden_values<float>(*tensors, "logits"),
          golden_values<float>(*tensors, "greedy_logits")};
}

/// One sequence with its own KV memory: feed() takes the next tokens, however many.
class GoldenRun {
 public:
  GoldenRun(const Model& model, int64_t capacity)
      : model_(model), capacity_(capacity), workspace_(*model.ops.device),
        kv_(static_cast<size_t>(model.arch.sizes.layers * 2 * part())) {}

  /// Logits [tokens, vocab] of the new tokens.
  std::vector<float> feed(std::span<const int32_t> ids) {
    const Sizes& sizes = model_.arch.sizes;
    const auto tokens = static_cast<int64_t>(ids.size());
    std::vector<float> x(static_cast<size_t>(tokens * sizes.hidden));
    std::vector<float> logits(static_cast<size_t>(tokens * sizes.vocab));
    std::vector<int32_t> positions;
    for (int64_t i = 0; i < tokens; ++i) positions.push_back(static_cast<int32_t>(past_ + i));
    const Matrix rows(x.data(), tokens, sizes.hidden);
    embed_tokens(model_, ids, positions, rows, workspace_);
    for (int64_t layer = 0; layer < sizes.layers; ++layer) {
      float* kv = kv_.data() + layer * 2 * part();
      const Segment segment{0, tokens, past_,
                            {kv, kv + part(), DType::f32, capacity_ * sizes.head_dim}};
      forward_block(model_, model_.blocks[static_cast<size_t>(layer)], layer, rows,
                    {positions, {&segment, 1}}, workspace_);
    }
    forward_head(model_, rows, {logits.data(), tokens, sizes.vocab}, workspace_);
    past_ += tokens;
    return logits;
  }

 private:
  int64_t part() const {
    return model_.arch.sizes.kv_heads * capacity_ * model_.arch.sizes.head_dim;
  }
  const Model& model_;
  int64_t capacity_, past_ = 0;
  Workspace workspace_;
  std::vector<float> kv_;
};

inline float largest_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  float largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const float difference = std::fabs(a[i] - b[i]);
    if (!(difference <= largest)) largest = difference;  // NaN stays
  }
  return largest;
}

}  // namespace awq
