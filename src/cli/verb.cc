#include "cli/verb.h"

#include <filesystem>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace awq {

CLI::Option* add_model_argument(CLI::App& verb, std::string& model) {
  return verb
      .add_option("MODEL", model, "a directory with config.json and safetensors, or a .gguf file")
      ->required();
}

void add_threads_option(CLI::App& verb, int& threads, std::string& backend) {
  verb.add_option("--threads", threads, "threads to use (default: all this process may use)")
      ->check(CLI::Range(1, 1024));
  verb.add_option("--backend", backend, "instruction set: auto, scalar, avx2, avx512")
      ->type_name("NAME")
      ->capture_default_str();
}

void add_backend_options(CLI::App& verb, BackendOptions& options) {
  verb.add_option("--device", options.device, "auto (a GPU where there is one), cpu, cuda or cuda:N")
      ->type_name("NAME")
      ->capture_default_str();
  verb.add_option_function<std::string>(
          "--max-vram",
          [&options](const std::string& text) {
            const auto size = parse_size(text);
            if (!size.ok()) throw CLI::ValidationError("--max-vram", size.error().message);
            options.max_vram = *size;
          },
          "most device memory to use, such as 8GiB")
      ->type_name("SIZE");
  add_threads_option(verb, options.threads, options.backend);
}

void add_json_option(CLI::App& verb, bool& json) {
  verb.add_flag("--json", json, "print one JSON document on stdout");
}

CLI::Option* add_model_options(CLI::App& verb, ModelOptions& options) {
  CLI::Option* model = add_model_argument(verb, options.model);
  add_backend_options(verb, options.backend);
  verb.add_option_function<std::string>(
          "--activations",
          [&options](const std::string& name) {
            options.backend.activations = name == "a8" ? Activations::a8 : Activations::a16;
          },
          "what a CPU rounds the inputs of integer weights to: a16 (16 bits) or a8 (8 bits: long "
          "prompts in less time, less exact)")
      ->type_name("{a16|a8}")
      ->default_str("a16")
      ->check(CLI::IsMember({"a16", "a8"}));
  add_json_option(verb, options.json);
  return model;
}

void add_kv_cache_option(CLI::App& verb, std::string& name) {
  verb.add_option("--kv-cache-dtype", name,
                  "keys and values of the context: f32, f16, or int8 with a scale for each head and token")
      ->check(CLI::IsMember({"f32", "f16", "int8"}))
      ->capture_default_str();
}

Result<uint64_t> parse_size(std::string_view text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  double factor = 0;
  static constexpr std::pair<std::string_view, double> kUnits[] = {
      {"", 1},          {"B", 1},           {"KB", 1e3},        {"MB", 1e6},
      {"GB", 1e9},      {"TB", 1e12},       {"K", 1024},        {"M", 1048576},
      {"G", 1073741824}, {"KiB", 1024},      {"MiB", 1048576},   {"GiB", 1073741824},
      {"TiB", 1099511627776},
  };
  for (const auto& [name, size] : kUnits) {
    if (unit == name) factor = size;
  }
  if (code != std::errc() || factor == 0 || !(value > 0) || value * factor > 1e18) {
    return usage_error(cat("size \"", printable(text, 40),
                           "\": expected a number with a unit, such as 900MB or 2GiB"));
  }
  return static_cast<uint64_t>(value * factor);
}

Status print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
      std::fflush(stdout) != 0) {
    return resource_error("cannot write to stdout");
  }
  return {};
}

Status print_json(const Json& value) { return print(dump_json(value, 2) + "\n"); }

Status check_output(std::string_view option, const std::string& output, const std::vector<std::string>& inputs) {
  if (output.empty()) return {};
  std::error_code none;
  for (const std::string& input : inputs) {
    if (output == input || std::filesystem::equivalent(output, input, none)) {
      return usage_error(cat(option, " ", printable(output), " would replace what is read or written besides; "
                             "give another name"));
    }
  }
  const std::filesystem::path folder = std::filesystem::path(output).parent_path();
  if (std::filesystem::is_directory(output, none) ||
      (!folder.empty() && !std::filesystem::is_directory(folder, none))) {
    return usage_error(cat(option, " ", printable(output), ": not a file in a folder that is there"));
  }
  return {};
}

}  // namespace awq
