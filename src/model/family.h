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

/// How the rows of slots and of stored tensors belong together.
enum class Fusion {
  none,
  stacked,      ///< all rows of the first slot named, then of the next, ...
  kv_groups,    ///< for each kv head: the rows of its query heads, of its key, of its value
  tensor_per_head,  ///< the other way round: a tensor for each head, a second "{}" in its name
  experts,          ///< one tensor [experts, out, in] (GGUF)
};

/// What a checkpoint calls the module of a slot; "{}" is the layer, a second "{}" the expert. Slots
/// with the same module share its tensor.
struct SlotName {
  Slot slot;
  std::string_view module;
  Fusion fusion = Fusion::none;
  bool transposed = false;  ///< stored [in, out] (GPT-2's Conv1D)
};

struct Family {
  std::string_view name;                           ///< model_type of config.json
  std::vector<std::string_view> architectures;     ///< of config.json; the first is written
  std::vector<std::string_view> gguf;              ///< general.architecture; empty: not in GGUF
  /// GGUF files of this family hold q and k rows in interleaved pairs (llama.cpp's converter).
  bool gguf_interleaves_qk = false;
  std::span<const SlotName> names;                 ///< Hugging Face module names
  Result<Arch> (*describe)(const Config& config) = nullptr;
  /// GGUF names where they are not those of the slot alone (fused tensors).
  std::span<const SlotName> gguf_names = {};
  /// Whether a config with one of `architectures` is of this variant; null: always.
  bool (*applies)(const Config& config) = nullptr;
  /// Adds what GGUF metadata leaves to the reader's knowledge of the family; null: nothing.
  void (*complete_gguf)(const Checkpoint& checkpoint, Json& config) = nullptr;
  bool experts = false;  ///< a mixture of experts
};

const std::vector<Family>& families();

/// By "architectures" of the config. Error (with the list) when it is none of ours.
Result<const Family*> find_family(const Config& config);
/// Dense models and mixtures of experts share some names.
const Family* find_gguf_family(std::string_view architecture, bool experts = false);
Error unsupported_architecture(std::string_view origin, std::string_view architecture);

/// The module of a slot in a container: "model.layers.3.self_attn.q_proj" or "blk.3.attn_q".
std::string module_name(const Family& family, Container container, Slot slot, int64_t layer = 0);

/// `pattern` with its first "{}" replaced by `first`, its second by `second`.
std::string fill_name(std::string_view pattern, int64_t first, int64_t second);

/// The entry that module_name() expands.
const SlotName& slot_entry(const Family& family, Container container, Slot slot);

}  // namespace awq
