// awq bench: prefill and decode speed, held against this machine's memory.
#include <cmath>
#include <functional>

#include "base/progress.h"
#include "cli/verb.h"
#include "model/synthetic.h"

namespace awq {
namespace {

struct BenchArguments {
  ModelOptions model;
  int64_t prompt = 512, tokens = 128, repetitions = 5;
  SyntheticOptions synthetic;
};

struct Measurement {
  std::string test;
  double tokens_per_second = 0, stddev = 0, bytes_per_token = 0, roof = 0;
  uint64_t peak = 0;  ///< resident memory before the roof was measured with a buffer of its own
  std::string plan;   ///< of the backend for a decode step; empty: op by op
  double gb_per_second() const { return tokens_per_second * bytes_per_token / 1e9; }
};

// Runs `work` (which handles `tokens` tokens) once to warm up, then `repetitions` times; each run
// is followed by a reading of the memory roof, so that both see the same state of the machine.
Measurement measure(std::string test, int64_t tokens, double bytes_per_token, int64_t repetitions,
                    Device& device, const std::function<void()>& work) {
  std::vector<double> speeds, roofs;
  work();
  device.synchronize();
  const uint64_t peak = peak_rss_bytes();
  for (int64_t i = 0; i < repetitions; ++i) {
    const Timer timer;
    work();
    device.synchronize();
    speeds.push_back(static_cast<double>(tokens) / timer.seconds());
    roofs.push_back(measure_read_roof(device));
  }
  Measurement result{std::move(test), 0, 0, bytes_per_token, 0, peak, {}};
  const auto n = static_cast<double>(repetitions);
  for (const double speed : speeds) result.tokens_per_second += speed / n;
  for (const double roof : roofs) result.roof += roof / n;
  for (const double speed : speeds) {
    result.stddev += (speed - result.tokens_per_second) * (speed - result.tokens_per_second) / n;
  }
  result.stddev = std::sqrt(result.stddev);
  return result;
}

std::vector<Measurement> run(Engine& engine, const BenchArguments& options) {
  const Arch& arch = engine.model().arch;
  const auto weights = static_cast<double>(engine.model().bytes_per_token());
  KvCache cache(engine.device(), arch, std::max(options.prompt, options.tokens + 1), DType::f16);
  std::vector<int32_t> ids(static_cast<size_t>(options.prompt));
  for (size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<int32_t>((i * 7919 + 13) % static_cast<size_t>(arch.sizes.vocab));
  }
  std::vector<Measurement> results;
  if (options.prompt > 0) {
    const auto passes = (options.prompt + Engine::kChunk - 1) / Engine::kChunk;
    results.push_back(
        measure(cat("pp", options.prompt), options.prompt,
                weights * static_cast<double>(passes) / static_cast<double>(options.prompt),
                options.repetitions, engine.device(), [&] {
                  cache.truncate(0);
                  engine.logits(engine.prefill(cache, ids));
                }));
  }
  if (options.tokens > 0) {
    std::vector<int32_t> answers(static_cast<size_t>(options.tokens));
    const int32_t first = 1 % static_cast<int32_t>(arch.sizes.vocab);
    results.push_back(measure(cat("tg", options.tokens), options.tokens, weights,
                              options.repetitions, engine.device(), [&] {
                                cache.truncate(0);
                                engine.greedy(cache, first, answers);
                              }));
    results.back().plan = engine.plan_name(cache);
  }
  return results;
}

Status report(Engine& engine, const BenchArguments& options, double load_seconds) {
  const Model& model = engine.model();
  const int64_t context = model.arch.sizes.context;
  if (options.prompt > context || options.tokens + 1 > context) {
    return usage_error(cat("-p and -n must fit the model's context of ", context));
  }
  const std::vector<Measurement> results = run(engine, options);
  Json list = Json::array();
  std::string table =
      "| test | tokens/s | GB/s | read roof GB/s | % of roof |\n"
      "|---|---:|---:|---:|---:|\n";
  for (const Measurement& m : results) {
    const double percent = 100 * m.gb_per_second() * 1e9 / m.roof;
    list.push_back({{"test", m.test},
                    {"plan", m.plan.empty() ? "op by op" : m.plan},
                    {"tokens_per_second", m.tokens_per_second},
                    {"stddev", m.stddev},
                    {"bytes_per_token", m.bytes_per_token},
                    {"gb_per_second", m.gb_per_second()},
                    {"roof_gb_per_second", m.roof / 1e9},
                    {"percent_of_roof", percent},
                    {"device", engine.device().description()},
                    {"backend", model.ops.name},
                    {"load_seconds", load_seconds},
                    {"weights", options.synthetic.shape.empty() ? "of the model" : "random"},
                    {"peak_rss_bytes", results.front().peak}});
    table += cat("| ", m.test, " | ", fixed(m.tokens_per_second, 1), " ± ", fixed(m.stddev, 1),
                 " | ", fixed(m.gb_per_second(), 2), " | ", fixed(m.roof / 1e9, 1), " | ",
                 fixed(percent, 1), " |\n");
  }
  if (options.model.json) return print_json(list);
  const std::string random =
      options.synthetic.shape.empty() ? "" : cat(options.synthetic.shape, " with random weights, ");
  return print(cat(random, engine.device().description(), "\n\n", table));
}

Status bench(const BenchArguments& options) {
  if (options.synthetic.shape.empty()) {
    if (options.model.model.empty()) return usage_error("give a MODEL or --synthetic SHAPE");
    AWQ_ASSIGN(Session session, Session::open(options.model.model, options.model.backend));
    return report(session.engine(), options, session.load_seconds());
  }
  if (!options.model.model.empty()) {
    return usage_error("give a MODEL or --synthetic SHAPE, not both");
  }
  AWQ_ASSIGN(const Backend backend, open_backend(options.model.backend));
  const Timer timer;
  AWQ_ASSIGN(const Model model, make_synthetic_model(options.synthetic, backend.ops));
  const double seconds = timer.seconds();
  Engine engine(model);
  return report(engine, options, seconds);
}

}  // namespace

void add_bench(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<BenchArguments>();
  CLI::App* verb = app.add_subcommand("bench", "measure prefill and decode speed");
  add_model_options(*verb, options->model)->required(false);
  std::string shapes;
  for (const std::string_view name : synthetic_shapes()) {
    append_item(shapes, name);
  }
  verb->add_option("--synthetic", options->synthetic.shape,
                   cat("instead of MODEL: this shape with random weights; one of ", shapes))
      ->type_name("SHAPE");
  verb->add_option("--bits", options->synthetic.bits, "of --synthetic: 2, 3, 4, 8 or 16")
      ->capture_default_str();
  verb->add_option("--group", options->synthetic.group, "of --synthetic: inputs that share a scale")
      ->check(CLI::IsMember(std::vector<int64_t>{32, 64, 128}))
      ->capture_default_str();
  verb->add_option("--layers", options->synthetic.layers, "of --synthetic: fewer layers")
      ->check(CLI::Range(int64_t{1}, int64_t{1024}));
  verb->add_option("-p,--prompt-tokens", options->prompt, "prefill this many tokens; 0: skip")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20))
      ->capture_default_str();
  verb->add_option("-n,--tokens", options->tokens, "decode this many tokens; 0: skip")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20))
      ->capture_default_str();
  verb->add_option("-r,--repetitions", options->repetitions, "runs that are averaged")
      ->check(CLI::Range(int64_t{1}, int64_t{1000}))
      ->capture_default_str();
  verb->footer(
      "Examples:\n  awq bench ./smollm2-awq -p 512 -n 128 -r 5\n"
      "  awq bench --synthetic llama-2-7b --device cuda");
  verb->callback([options, &outcome] { outcome.status = bench(*options); });
}

}  // namespace awq
