#include "model/random_checkpoint.h"

#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include "base/file.h"
#include "base/float16.h"
#include "base/thread_pool.h"
#include "model/family.h"
#include "model/placement.h"
#include "model/synthetic.h"

namespace awq {
namespace {

// What lies outside the blocks, or of a `layer`.
std::vector<TensorDeclaration> tensors_of(const Family& family, const Arch& arch,
                                          std::optional<int64_t> of_layer) {
  constexpr Container kContainer = Container::hugging_face;
  std::vector<TensorDeclaration> list;
  const auto add = [&](const std::string& module, const char* part, const Shape& shape) {
    list.push_back({module + part, DType::bf16, shape});
  };
  const auto norm = [&](const Norm& n, int64_t layer) {
    const Shape shape = norm_module_shape(family, kContainer, arch, n);
    for (const std::string& module : norm_modules(family, kContainer, arch, n, layer)) {
      add(module, ".weight", shape);
      if (n.bias) add(module, ".bias", shape);
    }
  };
  const auto linear = [&](const Linear& l, int64_t layer) {
    const Shape shape = linear_shape(arch, l);
    const Placement at = placement(family, kContainer, arch, l.slot, shape[0], layer);
    if (at.sharers.front() != l.slot) return;  // in a tensor that is there already
    add(at.module, ".weight", at.stored_shape(shape[1]));
    if (l.bias) add(at.module, ".bias", {at.stored_rows});
  };
  if (of_layer) {
    for (const Norm& n : block_norms(arch.block)) norm(n, *of_layer);
    for (const Linear& l : block_linears(arch.block)) linear(l, *of_layer);
    return list;
  }
  linear(arch.embed, 0);
  if (!arch.tied_head) linear(arch.lm_head, 0);
  for (const Linear& l : frame_linears(arch)) linear(l, 0);
  for (const Norm& n : frame_norms(arch)) norm(n, 0);
  return list;
}

// Norms of ones, biases of zeros; uniform weights, so that a product keeps the size of its input.
void fill_random(const TensorDeclaration& tensor, ThreadPool& pool, std::span<uint16_t> values) {
  if (tensor.shape.rank() == 1) {
    std::fill(values.begin(), values.end(),
              float_to_bfloat(tensor.name.ends_with(".bias") ? 0.0f : 1.0f));
    return;
  }
  const int64_t rows = tensor.shape[0], cols = tensor.shape[1];
  const auto scale = static_cast<float>(std::sqrt(3.0 / static_cast<double>(cols)) / 32768);
  const uint64_t seed = std::hash<std::string>()(tensor.name);
  pool.parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
    uint64_t state = seed + static_cast<uint64_t>(begin) * 0x9e3779b97f4a7c15u;
    for (int64_t i = begin * cols; i < end * cols; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const auto random = static_cast<int32_t>(state >> 48) - 32768;
      values[static_cast<size_t>(i)] = float_to_bfloat(scale * static_cast<float>(random));
    }
  });
}

}  // namespace

Status write_random_checkpoint(const std::string& shape, int64_t layers, OutputDirectory& directory) {
  AWQ_ASSIGN(const Json json, synthetic_config(shape, layers));
  const Config config(json, shape);
  AWQ_ASSIGN(const Family* family, find_family(config));
  AWQ_ASSIGN(const Arch arch, family->describe(config));
  AWQ_TRY(write_file(directory.file("config.json"), dump_json(json, 2) + "\n"));
  std::vector<TensorDeclaration> tensors = tensors_of(*family, arch, {});
  for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
    for (TensorDeclaration& tensor : tensors_of(*family, arch, layer)) {
      tensors.push_back(std::move(tensor));
    }
  }
  AWQ_ASSIGN(SafetensorsWriter writer, SafetensorsWriter::create(directory, tensors));
  ThreadPool pool;
  std::vector<uint16_t> values;
  for (const TensorDeclaration& tensor : tensors) {
    values.resize(static_cast<size_t>(tensor.shape.elements()));
    fill_random(tensor, pool, values);
    AWQ_TRY(writer.write(tensor.name, values.data(), values.size() * sizeof(uint16_t)));
  }
  return writer.finish();
}

Result<Checkpoint> make_random_checkpoint(const Json& json, const std::string& name,
                                          ThreadPool& pool) {
  const Config config(json, name);
  AWQ_ASSIGN(const Family* family, find_family(config));
  AWQ_ASSIGN(const Arch arch, family->describe(config));
  std::vector<TensorDeclaration> made = tensors_of(*family, arch, {});
  const size_t in_frame = made.size();
  for (TensorDeclaration& tensor : tensors_of(*family, arch, 0)) made.push_back(std::move(tensor));
  std::vector<size_t> begin = {0};  // of each, in values
  for (const TensorDeclaration& tensor : made) {
    begin.push_back(begin.back() + static_cast<size_t>(tensor.shape.elements()));
  }
  MappedFile bytes = MappedFile::made_by(
      [&](std::span<std::byte> to) {
        auto* values = reinterpret_cast<uint16_t*>(to.data());
        for (size_t i = 0; i < made.size(); ++i) {
          fill_random(made[i], pool, {values + begin[i], begin[i + 1] - begin[i]});
        }
      },
      begin.back() * sizeof(uint16_t), name);
  const auto info = [&](const TensorDeclaration& tensor, size_t i) {
    return TensorInfo{tensor.name, tensor.dtype, tensor.shape,
                      bytes.bytes().subspan(begin[i] * sizeof(uint16_t),
                                            (begin[i + 1] - begin[i]) * sizeof(uint16_t)),
                      0};
  };
  std::vector<TensorInfo> tensors;
  for (size_t i = 0; i < in_frame; ++i) tensors.push_back(info(made[i], i));
  for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
    const std::vector<TensorDeclaration> block = tensors_of(*family, arch, layer);
    for (size_t i = 0; i < block.size(); ++i) tensors.push_back(info(block[i], in_frame + i));
  }
  return Checkpoint::from_tensors(json, std::move(tensors), std::move(bytes), name);
}

}  // namespace awq
