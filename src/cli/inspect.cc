// awq inspect: what a checkpoint is, from its headers alone.
#include <sys/sysinfo.h>

#include <map>

#include "cli/verb.h"
#include "model/diagram.h"
#include "model/fold.h"
#include "quant/plan.h"

namespace awq {
namespace {

struct InspectOptions {
  std::string model;
  bool json = false;
};

std::string quantization_name(const TensorReader& reader) {
  if (reader.quantization()) {
    const bool gptq = reader.quantization()->packed == PackedFormat::gptq;
    return cat(gptq ? "gptq " : "awq ", format_name(reader.quantization()->format),
               reader.quantization()->mixed ? ", mixed" : "");
  }
  // The most common stored type of the blocks' linears.
  const Container container = reader.checkpoint().container();
  const TensorInfo* tensor = reader.checkpoint().find(
      cat(module_name(reader.family(), container, reader.arch().block.attention.o.slot), ".weight"));
  return tensor == nullptr ? "none" : std::string(dtype_name(tensor->dtype));
}

std::string_view part_of(Slot slot) {
  const Slot of_first = expert_place(slot).of_first;
  if (of_first == Slot::embed || of_first == Slot::position_table) return "embedding";
  if (of_first == Slot::lm_head) return "head";
  if (of_first >= Slot::q && of_first <= Slot::o) return "attention";
  if (of_first >= Slot::expert_gate) return "experts";
  return "feed_forward";
}

// Bytes of the file's tensors by what they are; what no slot names is "other".
Json bytes_by_part(const TensorReader& reader) {
  const Arch& arch = reader.arch();
  const Container container = reader.checkpoint().container();
  std::map<std::string, std::string_view, std::less<>> parts;
  const auto linear = [&](const Linear& l, int64_t layer) {
    parts.emplace(module_name(reader.family(), container, l.slot, layer), part_of(l.slot));
  };
  const auto norm = [&](const Norm& n, int64_t layer) {
    for (std::string& module : norm_modules(reader.family(), container, arch, n, layer)) {
      parts.emplace(std::move(module), "norms");
    }
  };
  for (const Linear& l : {arch.embed, arch.lm_head}) linear(l, 0);
  for (const Linear& l : frame_linears(arch)) linear(l, 0);
  for (const Norm& n : frame_norms(arch)) norm(n, 0);
  for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
    for (const Linear& l : block_linears(arch.block)) linear(l, layer);
    for (const Norm& n : block_norms(arch.block)) norm(n, layer);
  }
  std::map<std::string_view, uint64_t> bytes;
  for (const TensorInfo& tensor : reader.checkpoint().tensors()) {
    const auto found = parts.find(std::string_view(tensor.name).substr(0, tensor.name.rfind('.')));
    bytes[found == parts.end() ? "other" : found->second] += tensor.data.size();
  }
  Json result = Json::object();
  for (const auto& [part, size] : bytes) result[std::string(part)] = size;
  return result;
}

// Weights of the whole model at `bits`, as quantize would write it; null where no group fits.
Json bytes_at(const TensorReader& reader, int bits) {
  const auto group = auto_group(reader.arch());
  QuantizeOptions options;
  options.formats = FormatPlan(reader.arch(), {bits, group.ok() ? *group : 0, false});
  if (!check_formats(reader, options.formats).ok()) return nullptr;
  return plan_quantize(reader, options, options.calibration_length, 1).output_bytes;
}

// Halves of keys and values that a position takes in all layers.
int64_t kv_bytes(const Sizes& sizes) {
  return 2 * 2 * sizes.layers * sizes.kv_heads * sizes.head_dim;
}

// Positions that fit this machine's memory beside the weights, no more than the model knows.
int64_t largest_context(const Sizes& sizes, uint64_t weights) {
  struct sysinfo info = {};
  if (sysinfo(&info) != 0) return 0;
  const uint64_t memory = uint64_t{info.totalram} * info.mem_unit;
  const uint64_t left = memory > weights ? memory - weights : 0;
  return std::min(sizes.context,
                  static_cast<int64_t>(left / static_cast<uint64_t>(kv_bytes(sizes))));
}

Json fold_group_names(const Arch& arch) {
  Json names = Json::array();
  for (const FoldGroup& group : fold_groups(arch)) names.push_back(group.name());
  return names;
}

std::string count_text(int64_t count) {
  const auto value = static_cast<double>(count);
  if (value >= 1e9) return cat(fixed(value / 1e9, 2), " billion");
  return value >= 1e6 ? cat(fixed(value / 1e6, 1), " million") : cat(count);
}

std::string described(const TensorReader& reader, const Json& facts) {
  const Arch& arch = reader.arch();
  std::string text = cat(arch.family, ", ", count_text(parameter_count(arch)), " parameters, ",
                         facts["quantization"].get<std::string>(), ", context ",
                         arch.sizes.context, "\n\n", block_diagram(arch), "\nbytes\n");
  for (const auto& [part, bytes] : facts["bytes_by_part"].items()) {
    text += cat("  ", part, std::string(14 - std::min<size_t>(13, part.size()), ' '),
                human_bytes(bytes.get<uint64_t>()), "\n");
  }
  text += "\nfold groups\n";
  size_t shown = 0;
  for (const Json& name : facts["fold_groups"]) {
    if (++shown > 8) continue;
    text += cat("  ", name.get<std::string>(), "\n");
  }
  if (shown > 8) text += cat("  and ", shown - 8, " more like the last\n");
  text += "\nmemory (weights)\n";
  for (const char* bits : {"4", "3", "2"}) {
    const Json& bytes = facts["bytes_at_bits"][bits];
    text += cat("  ", bits, " bits        ",
                bytes.is_null() ? std::string("no layout for these shapes")
                                : human_bytes(bytes.get<uint64_t>()), "\n");
  }
  const auto group = auto_group(arch);
  text += cat("  KV cache      ", human_bytes(static_cast<uint64_t>(kv_bytes(arch.sizes))),
              " a position (halves)\n  context       ",
              facts["largest_context"].get<int64_t>(),
              " positions fit this machine's memory\n\nauto group    ",
              group.ok() ? cat(*group) : std::string("none"), "\nfiles         ",
              human_bytes(facts["bytes"].get<uint64_t>()), ", fingerprint ",
              facts["fingerprint"].get<std::string>(), "\n");
  return text;
}

Status inspect(const InspectOptions& options) {
  AWQ_ASSIGN(const OpenCheckpoint source, OpenCheckpoint::open(options.model, false));
  const TensorReader& reader = *source.reader;
  const Arch& arch = reader.arch();
  const Sizes& sizes = arch.sizes;
  Json result = {
      {"family", arch.family},       {"parameters", parameter_count(arch)},
      {"layers", sizes.layers},      {"hidden", sizes.hidden},
      {"heads", sizes.heads},        {"kv_heads", sizes.kv_heads},
      {"head_dim", sizes.head_dim},  {"ffn", sizes.ffn},
      {"vocab", sizes.vocab},        {"context", sizes.context},
      {"tied_head", arch.tied_head}, {"quantization", quantization_name(reader)},
      {"bytes", source.checkpoint->file_bytes()},
      {"bytes_by_part", bytes_by_part(reader)},
      {"fold_groups", fold_group_names(arch)},
      {"bytes_at_bits",
       {{"4", bytes_at(reader, 4)}, {"3", bytes_at(reader, 3)}, {"2", bytes_at(reader, 2)}}},
      {"kv_bytes_per_position", kv_bytes(sizes)},
      {"largest_context", largest_context(sizes, source.checkpoint->file_bytes())},
      {"fingerprint", source.checkpoint->fingerprint()}};
  if (sizes.experts > 0) {
    result["experts"] = sizes.experts;
    result["expert_ffn"] = sizes.expert_ffn;
  }
  return options.json ? print_json(result) : print(described(reader, result));
}

}  // namespace

void add_inspect(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* verb = app.add_subcommand("inspect", "show what a checkpoint holds (headers only)");
  add_model_argument(*verb, options->model);
  add_json_option(*verb, options->json);
  verb->footer("Example:\n  awq inspect ./SmolLM2-135M --json");
  verb->callback([options, &outcome] { outcome.status = inspect(*options); });
}

}  // namespace awq
