// A checkpoint on disk as named tensors and metadata, mapped and validated before use. No meaning
// is attached to names here: model/ does that.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/result.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace awq {

struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;                      ///< outermost first, whatever the file's custom
  std::span<const std::byte> data;  ///< inside the map of its file; size equals shape x dtype
  int file = 0;                     ///< index into Checkpoint::files()
};

/// A GGUF metadata value, widened.
using MetaValue = std::variant<bool, int64_t, uint64_t, double, std::string, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string>>;
using Metadata = std::map<std::string, MetaValue, std::less<>>;

enum class Container { hugging_face, gguf };

class Checkpoint {
 public:
  /// `path`: a directory with config.json and safetensors (one file or shards with an index), or
  /// a .gguf file. All headers are validated here; tensor data is only mapped.
  static Result<Checkpoint> open(const std::string& path);

  /// The same of bytes in memory, which are copied: a GGUF file, or config.json and the bytes of
  /// model.safetensors. `name` stands for the path.
  static Result<Checkpoint> from_gguf(std::span<const std::byte> file, const std::string& name);
  static Result<Checkpoint> from_safetensors(std::string_view config,
                                             std::span<const std::byte> file,
                                             const std::string& name);
  /// Of tensors whose `data` lies in `bytes`, where several may share it.
  static Result<Checkpoint> from_tensors(Json config, std::vector<TensorInfo> tensors,
                                         MappedFile bytes, const std::string& name);

  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  Container container() const;
  const std::string& path() const;   ///< as given: the directory or the file
  const Json& config() const;        ///< config.json; null for GGUF
  const Metadata& metadata() const;  ///< GGUF key-values; empty for Hugging Face
  const std::vector<TensorInfo>& tensors() const;
  const TensorInfo* find(std::string_view name) const;  ///< nullptr when absent
  const std::vector<std::string>& files() const;        ///< paths of the mapped files
  uint64_t file_bytes() const;                          ///< sum of their sizes
  const std::vector<std::string>& warnings() const;     ///< oddities that do not stop a reader

  /// Decodes rows [row, row + rows) of any float or block tensor to f32, `out` [rows, columns].
  /// Error when the file changed until then. Any thread.
  Status read_rows(const TensorInfo& tensor, int64_t row, int64_t rows, float* out) const;

  /// Error when a mapped file changed since it was opened. Call after reading tensor data directly:
  /// what was read is the file's only if this succeeds.
  Status check_unchanged() const;

  /// Lets the kernel drop the pages of a tensor that will not be needed soon.
  void release(const TensorInfo& tensor) const;

  /// 64-bit content fingerprint of the input (names, shapes, sizes and sampled bytes), as hex.
  std::string fingerprint() const;

 private:
  struct Impl;
  explicit Checkpoint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace awq
