// awq bench quantize: time and memory of a quantization, of models and of known shapes with random
// weights.
#include "cli/bench_quantize.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "base/progress.h"
#include "model/random_checkpoint.h"
#include "model/synthetic.h"
#include "quant/plan.h"
#include "quant/quantize.h"

namespace awq {
namespace {

struct BenchQuantizeArguments {
  std::vector<std::string> models, shapes;
  int64_t layers = 0, samples = 128, length = 512, group = 64;
  int bits = 4;
  std::string method = "awq", scratch;
  BackendOptions backend;
  bool json = false;
};

// Removed with what is in it.
class Scratch {
 public:
  static Result<Scratch> make(const std::string& in) {
    std::error_code failed;
    const std::filesystem::path parent =
        in.empty() ? std::filesystem::temp_directory_path(failed) : std::filesystem::path(in);
    std::string name = (parent / "awq-bench-XXXXXX").string();
    if (failed || ::mkdtemp(name.data()) == nullptr) {
      return runtime_error(cat("cannot make a folder in ", printable(parent.string()), "; --scratch DIR"));
    }
    return Scratch(std::move(name));
  }
  explicit Scratch(std::string path) : path_(std::move(path)) {}
  Scratch(Scratch&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  Scratch(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// So that one measurement's peak is not the next one's. Linux alone; elsewhere peaks only grow.
void forget_peak_rss() {
  if (std::FILE* file = std::fopen("/proc/self/clear_refs", "w")) {
    std::fputs("5", file);
    std::fclose(file);
  }
}

Result<Json> measure(const BenchQuantizeArguments& options, const std::string& name,
                     const std::string& path, const std::string& out, const Ops& ops) {
  AWQ_ASSIGN(const OpenCheckpoint source, OpenCheckpoint::open(path, false));
  const Arch& arch = source.reader->arch();
  const int64_t length = std::min(options.length, arch.sizes.context);
  QuantizeOptions quantize;
  AWQ_ASSIGN(quantize.method, parse_method(options.method == "best" ? "awq+gptq" : options.method));
  quantize.best = options.method == "best";
  quantize.formats = FormatPlan(arch, {options.bits, options.group, false});
  quantize.calibration_length = length;
  AWQ_TRY(check_formats(*source.reader, quantize.formats));
  std::vector<int32_t> tokens(static_cast<size_t>(options.samples * length));
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<int32_t>((i * 7919 + i / 31) % static_cast<size_t>(arch.sizes.vocab));
  }
  const int threads = ops.device->pool().size();
  const QuantizePlan plan = plan_quantize(*source.reader, quantize,
                                          static_cast<int64_t>(tokens.size()), threads);
  AWQ_ASSIGN(OutputDirectory output, OutputDirectory::create(out, true));
  QuantizeJournal journal(output, Json::object());
  Progress progress(cat("quantizing ", name, ", layer"), arch.sizes.layers);
  forget_peak_rss();
  const Timer timer;
  AWQ_ASSIGN(const Json report,
             quantize_model(*source.reader, ops, tokens, quantize, output, journal,
                            [&](const QuantizeProgress& layer) { progress.update(layer.layer); }));
  const double seconds = timer.seconds();
  const uint64_t peak = peak_rss_bytes();
  const auto parameters = static_cast<double>(parameter_count(arch));
  uint64_t block = 0;
  for (const Linear& linear : block_linears(arch.block)) {
    block += static_cast<uint64_t>(linear_shape(arch, linear).elements()) * sizeof(float);
  }
  return Json({{"name", name},
               {"parameters", parameters},
               {"layers", arch.sizes.layers},
               {"tokens", tokens.size()},
               {"method", options.method},
               {"format", quantize.formats.name()},
               {"seconds", seconds},
               {"seconds_per_billion", seconds / parameters * 1e9},
               {"block_bytes", block},
               {"activation_bytes", tokens.size() * static_cast<size_t>(arch.sizes.hidden) * sizeof(float)},
               {"predicted_rss_bytes", plan.peak_bytes},
               {"peak_rss_bytes", peak},
               {"phases", report["seconds"]},
               {"machine", ops.device->description()},
               {"backend", ops.name}});
}

Status bench_quantize(const BenchQuantizeArguments& options) {
  if (options.models.empty() && options.shapes.empty()) {
    return usage_error("give MODEL... or --synthetic SHAPE");
  }
  for (const std::string& shape : options.shapes) AWQ_TRY(synthetic_config(shape, options.layers));
  AWQ_ASSIGN(const Backend backend, open_backend(options.backend));
  const Ops ops = quantization_ops(backend, false);
  AWQ_ASSIGN(const Scratch scratch, Scratch::make(options.scratch));
  Json rows = Json::array();
  for (const std::string& model : options.models) {
    AWQ_ASSIGN(Json row, measure(options, std::filesystem::path(model).filename().string(), model,
                                 scratch.file("out"), ops));
    rows.push_back(std::move(row));
  }
  for (const std::string& shape : options.shapes) {
    AWQ_ASSIGN(OutputDirectory directory, OutputDirectory::create(scratch.file("model"), true));
    AWQ_TRY(write_random_checkpoint(shape, options.layers, directory));
    AWQ_TRY(directory.commit());
    AWQ_ASSIGN(Json row, measure(options, cat(shape, ", random weights"), scratch.file("model"),
                                 scratch.file("out"), ops));
    rows.push_back(std::move(row));
  }
  if (options.json) return print_json(rows);
  std::string table =
      "| model | layers | parameters M | s | s per 10^9 parameters | block MB | activations MB | "
      "predicted MB | peak MB |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n";
  const auto mega = [](const Json& value) { return fixed(value.get<double>() / 1e6, 0); };
  for (const Json& row : rows) {
    table += cat("| ", row["name"].get<std::string>(), " | ", row["layers"].get<int64_t>(), " | ",
                 mega(row["parameters"]), " | ", fixed(row["seconds"].get<double>(), 1), " | ",
                 fixed(row["seconds_per_billion"].get<double>(), 0), " | ", mega(row["block_bytes"]),
                 " | ", mega(row["activation_bytes"]), " | ", mega(row["predicted_rss_bytes"]), " | ",
                 mega(row["peak_rss_bytes"]), " |\n");
  }
  return print(cat(rows[0]["method"].get<std::string>(), ", ", rows[0]["format"].get<std::string>(),
                   ", ", options.samples, " x ", options.length, " tokens, ",
                   backend.device->description(), "\n\n", table));
}

}  // namespace

CLI::App* add_bench_quantize(CLI::App& bench, Outcome& outcome) {
  auto options = std::make_shared<BenchQuantizeArguments>();
  CLI::App* verb =
      bench.add_subcommand("quantize", "measure the time and memory of a quantization");
  verb->add_option("MODEL", options->models, "float checkpoints; random tokens calibrate");
  verb->add_option("--synthetic", options->shapes, "shapes with random weights, as of `awq bench`")
      ->delimiter(',')
      ->type_name("SHAPES");
  verb->add_option("--layers", options->layers, "of --synthetic: fewer layers")
      ->check(CLI::Range(int64_t{1}, int64_t{1024}));
  verb->add_option("--method", options->method, "as of `awq quantize`; best: its --quality best")
      ->check(CLI::IsMember({"rtn", "awq", "gptq", "awq+gptq", "best"}))
      ->capture_default_str();
  verb->add_option("--bits", options->bits, "bits of a weight")
      ->check(CLI::IsMember({2, 3, 4, 8}))
      ->capture_default_str();
  verb->add_option("--group", options->group, "inputs that share a scale")
      ->check(CLI::IsMember(std::vector<int64_t>{16, 32, 64, 128, 256}))
      ->capture_default_str();
  verb->add_option("--calib-samples", options->samples, "calibration sequences")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  verb->add_option("--calib-length", options->length, "tokens of a calibration sequence")
      ->check(CLI::Range(int64_t{8}, int64_t{1} << 16))
      ->capture_default_str();
  verb->add_option("--scratch", options->scratch,
                   "where checkpoints are written and removed again (default: the system's)")
      ->type_name("DIR");
  add_backend_options(*verb, options->backend);
  add_json_option(*verb, options->json);
  verb->footer("Example:\n  awq bench quantize ./SmolLM2-135M --synthetic tinyllama-1.1b");
  verb->callback([options, &outcome] { outcome.status = bench_quantize(*options); });
  return verb;
}

}  // namespace awq
