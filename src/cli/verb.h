// What every verb shares: how it registers, how it answers, and the options many of them take.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "session/session.h"

namespace awq {

/// Filled by the callback of the verb that ran.
struct Outcome {
  Status status;
  std::string_view version;  ///< of this program, for results
};

/// Options of verbs that load a model.
struct ModelOptions {
  std::string model;
  BackendOptions backend;
  bool json = false;
};

CLI::Option* add_model_argument(CLI::App& verb, std::string& model);
void add_threads_option(CLI::App& verb, int& threads, std::string& backend);
void add_json_option(CLI::App& verb, bool& json);
/// --device, --max-vram, --threads, --backend.
void add_backend_options(CLI::App& verb, BackendOptions& options);
/// MODEL (returned), the options of the backend, --json.
CLI::Option* add_model_options(CLI::App& verb, ModelOptions& options);

/// --kv-cache-dtype, with the present value as default; what the backend takes says kv_cache_dtype.
void add_kv_cache_option(CLI::App& verb, std::string& name);

/// "900MB", "1.5GiB", "2048" (bytes).
Result<uint64_t> parse_size(std::string_view text);

/// Writes to stdout; an error when it cannot be written (full disk).
Status print(std::string_view text);
Status print_json(const Json& value);

void add_inspect(CLI::App& app, Outcome& outcome);
void add_quantize(CLI::App& app, Outcome& outcome);
void add_perplexity(CLI::App& app, Outcome& outcome);
void add_compare(CLI::App& app, Outcome& outcome);
void add_generate(CLI::App& app, Outcome& outcome);
void add_chat(CLI::App& app, Outcome& outcome);
void add_bench(CLI::App& app, Outcome& outcome);
void add_tokenize(CLI::App& app, Outcome& outcome);
void add_doctor(CLI::App& app, Outcome& outcome);
void add_eval(CLI::App& app, Outcome& outcome);
void add_study(CLI::App& app, Outcome& outcome);
void add_report(CLI::App& app, Outcome& outcome);

/// Usage error where writing `output`, given by `option`, would replace one of `inputs`, or where its folder is not
/// there. An empty `output` is none.
Status check_output(std::string_view option, const std::string& output, const std::vector<std::string>& inputs);

}  // namespace awq
