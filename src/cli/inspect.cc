// awq inspect: what a checkpoint is, from its headers alone.
#include "cli/verb.h"
#include "quant/method.h"

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
  const TensorInfo* tensor = reader.checkpoint().find(
      cat(module_name(reader.family(), reader.checkpoint().container(), Slot::down), ".weight"));
  return tensor == nullptr ? "none" : std::string(dtype_name(tensor->dtype));
}

Status inspect(const InspectOptions& options) {
  AWQ_ASSIGN(const OpenCheckpoint source, OpenCheckpoint::open(options.model, false));
  const Arch& arch = source.reader->arch();
  const Sizes& sizes = arch.sizes;
  const Json result = {
      {"family", arch.family},       {"parameters", parameter_count(arch)},
      {"layers", sizes.layers},      {"hidden", sizes.hidden},
      {"heads", sizes.heads},        {"kv_heads", sizes.kv_heads},
      {"head_dim", sizes.head_dim},  {"ffn", sizes.ffn},
      {"vocab", sizes.vocab},        {"context", sizes.context},
      {"tied_head", arch.tied_head}, {"quantization", quantization_name(*source.reader)},
      {"bytes", source.checkpoint->file_bytes()},
      {"fingerprint", source.checkpoint->fingerprint()}};
  if (options.json) return print_json(result);
  std::string text;
  for (const auto& [key, value] : result.items()) {
    text += cat(key, std::string(14 - std::min<size_t>(13, key.size()), ' '),
                value.is_string() ? value.get<std::string>() : dump_json(value), "\n");
  }
  const auto group = auto_group(arch);
  text += cat("auto group    ", group.ok() ? cat(*group) : std::string("none"), "\n");
  return print(text);
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
