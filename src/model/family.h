// The registry of model families: what a stranger extends with one file and one line.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/arch.h"
#include "model/config.h"

namespace awq {

/// What a checkpoint calls the module of a slot; "{}" is the layer.
struct SlotName {
  Slot slot;
  std::string_view module;
};

struct Family {
  std::string_view name;                           ///< model_type of config.json
  std::vector<std::string_view> architectures;     ///< of config.json; the first is written
  std::vector<std::string_view> gguf;              ///< general.architecture; empty: not in GGUF
  /// GGUF files of this family hold q and k rows in interleaved pairs (llama.cpp's converter).
  bool gguf_interleaves_qk = false;
  std::span<const SlotName> names;                 ///< Hugging Face module names
  Result<Arch> (*describe)(const Config& config) = nullptr;
};

const std::vector<Family>& families();

/// By "architectures" of the config. Error (with the list) when it is none of ours.
Result<const Family*> find_family(const Config& config);
const Family* find_gguf_family(std::string_view architecture);
Error unsupported_architecture(std::string_view origin, std::string_view architecture);

/// The module of a slot in a container: "model.layers.3.self_attn.q_proj" or "blk.3.attn_q".
std::string module_name(const Family& family, Container container, Slot slot, int64_t layer = 0);

// families/*.cc
Family llama_family();
Family mistral_family();

}  // namespace awq
