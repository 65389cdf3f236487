// A model with its text side, opened from a path: what every verb works on.
#pragma once

#include <memory>
#include <string>

#include "kernels/backend.h"
#include "model/tensor_reader.h"
#include "runtime/engine.h"
#include "session/vocabulary.h"

namespace awq {

/// A checkpoint with its description and vocabulary; no weights loaded.
struct OpenCheckpoint {
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<TensorReader> reader;
  std::unique_ptr<Vocabulary> vocabulary;

  /// `with_text` false leaves the vocabulary out (null).
  static Result<OpenCheckpoint> open(const std::string& path, bool with_text = true);
};

/// The backend that was asked for; says on stderr why "auto" is not the GPU.
Result<Backend> open_backend(const BackendOptions& options);

/// A loaded model.
class Session {
 public:
  static Result<Session> open(const std::string& path, const BackendOptions& options);
  /// On a device that others use too.
  static Result<Session> open(const std::string& path, const Ops& ops);

  const OpenCheckpoint& source() const { return source_; }
  const TensorReader& reader() const { return *source_.reader; }
  const Checkpoint& checkpoint() const { return *source_.checkpoint; }
  const Vocabulary& vocabulary() const { return *source_.vocabulary; }
  const Tokenizer& tokenizer() const { return source_.vocabulary->tokenizer; }
  const Model& model() const { return *model_; }
  Engine& engine() { return *engine_; }
  double load_seconds() const { return load_seconds_; }

 private:
  Session() = default;

  std::unique_ptr<Device> device_;  // first: everything below may hold its memory
  OpenCheckpoint source_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Engine> engine_;
  double load_seconds_ = 0;
};

}  // namespace awq
