// A Hugging Face directory that appears whole or not at all: files are written under a partial
// directory beside the target, synced, and the directory is renamed at the end.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace awq {

/// OUT while it is being made: "OUT.partial", locked against a second writer. What a killed run
/// left there is removed when its lock is free; a directory of that name that is not ours is
/// refused.
class OutputDirectory {
 public:
  /// Usage error when `target` exists (unless `overwrite` and it holds a model), is or contains an
  /// input, or is being written by another process. `inputs`: files or directories that are read.
  /// `resume`: what a stopped run left in the partial directory stays, if it has a journal.
  static Result<OutputDirectory> create(const std::string& target, bool overwrite,
                                        const std::vector<std::string>& inputs = {},
                                        bool resume = false);
  OutputDirectory(OutputDirectory&&) noexcept;
  ~OutputDirectory();  ///< removes the partial directory when it was not committed

  /// Path of a file inside the partial directory. `name` is a plain file name.
  std::string file(std::string_view name) const;
  /// The partial directory stays when this goes without commit(), to be resumed.
  void keep();
  /// Syncs every file and the directory, then renames it to the target. The journal's files are
  /// removed after that.
  Status commit();

  /// Files of a journal: how far a run came, and its calibration tokens.
  static constexpr const char* kJournal = ".awq-journal";
  static constexpr const char* kJournalTokens = ".awq-calibration";

 private:
  struct Impl;
  explicit OutputDirectory(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct TensorDeclaration {
  std::string name;
  DType dtype;
  Shape shape;
};

/// Writes model.safetensors (or shards with an index) into `directory`. All tensors are declared
/// first, so the space is reserved before the work and data may arrive in any order. `resume`: the
/// files are there already, from the same declarations; written tensors can be read back.
class SafetensorsWriter {
 public:
  static Result<SafetensorsWriter> create(const OutputDirectory& directory,
                                          std::vector<TensorDeclaration> tensors,
                                          uint64_t max_shard_bytes = uint64_t{5} << 30,
                                          bool resume = false);
  /// Takes the same calls and keeps nothing: for measurements.
  static SafetensorsWriter discarding(std::vector<TensorDeclaration> tensors);
  SafetensorsWriter(SafetensorsWriter&&) noexcept;
  ~SafetensorsWriter();

  /// The whole data of a declared tensor, once; `size` must match the declaration.
  Status write(std::string_view name, const void* data, size_t size);
  /// A tensor that an earlier run wrote counts as written.
  void keep(std::string_view name);
  /// The whole data of a tensor that was written.
  Status read_back(std::string_view name, void* data, size_t size) const;
  /// Of the names and data written since the last call, in any order.
  std::string take_sum();
  /// What take_sum() says of a run that wrote `tensors`, from what is in the files now.
  Result<std::string> sum_of(std::span<const TensorDeclaration> tensors) const;
  /// Until all that was written is on disk.
  Status sync();
  /// All declared tensors must have been written. Index last.
  Status finish();
  uint64_t bytes() const;  ///< size of all files

 private:
  struct Impl;
  explicit SafetensorsWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace awq
