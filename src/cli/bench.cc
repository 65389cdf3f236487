// awq bench: prefill and decode speed, held against this machine's memory.
#include <algorithm>
#include <cmath>
#include <functional>

#include "base/progress.h"
#include "cli/bench_profile.h"
#include "cli/verb.h"
#include "model/synthetic.h"

namespace awq {
namespace {

struct BenchArguments {
  ModelOptions model;
  int64_t prompt = 512, tokens = 128, repetitions = 5, batch = 1;
  int64_t depth = 0;
  SyntheticOptions synthetic;
  std::string protocol = "plain";
  bool profile = false;
  std::string cache_dtype = "f16";
  DType cache = DType::f16;  ///< of that name
};

constexpr int64_t kTinyChatPrompt = 4, kTinyChatTokens = 200;

struct Measurement {
  std::string test;
  double tokens_per_second = 0, stddev = 0, bytes_per_token = 0, roof = 0;
  double ms_per_token = 0;  ///< the median of the runs
  uint64_t peak = 0;  ///< resident memory before the roof was measured with a buffer of its own
  std::string plan;   ///< of the backend for a decode step; empty: op by op
  std::vector<PartTime> parts;  ///< of one pass, with --profile
  double gb_per_second() const { return tokens_per_second * bytes_per_token / 1e9; }
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Runs `prepare` and `work` (which handles `tokens` tokens) once to warm up, then `repetitions`
// times; each run is followed by a reading of the memory roof, so that both see the same state of
// the machine. The time is that of `work` alone.
Measurement measure(std::string test, int64_t tokens, double bytes_per_token, int64_t repetitions,
                    Device& device, const std::function<void()>& prepare,
                    const std::function<void()>& work) {
  std::vector<double> speeds, roofs, milliseconds;
  prepare();
  work();
  device.synchronize();
  const uint64_t peak = peak_rss_bytes();
  for (int64_t i = 0; i < repetitions; ++i) {
    prepare();
    device.synchronize();
    const Timer timer;
    work();
    device.synchronize();
    const double seconds = timer.seconds();
    speeds.push_back(static_cast<double>(tokens) / seconds);
    milliseconds.push_back(1e3 * seconds / static_cast<double>(tokens));
    roofs.push_back(measure_read_roof(device));
  }
  Measurement result;
  result.test = std::move(test);
  result.bytes_per_token = bytes_per_token;
  result.peak = peak;
  result.ms_per_token = median(milliseconds);
  const auto n = static_cast<double>(repetitions);
  for (const double speed : speeds) result.tokens_per_second += speed / n;
  for (const double roof : roofs) result.roof += roof / n;
  for (const double speed : speeds) {
    result.stddev += (speed - result.tokens_per_second) * (speed - result.tokens_per_second) / n;
  }
  result.stddev = std::sqrt(result.stddev);
  return result;
}

// Of the cache when decoding is done.
int64_t decoded_positions(const BenchArguments& options) {
  return options.tokens + 1 + options.depth +
         (options.protocol == "tinychat" ? kTinyChatPrompt : 0);
}

// Of the keys and values that a token reads on average, where there is a context to begin with.
double key_bytes(const Arch& arch, const BenchArguments& options) {
  if (options.depth == 0) return 0;
  const auto position = static_cast<double>(options.depth) + static_cast<double>(options.tokens) / 2;
  const Sizes& sizes = arch.sizes;
  const double head = options.cache == DType::i8
                          ? static_cast<double>(sizes.head_dim) + sizeof(float)
                          : static_cast<double>(sizes.head_dim) * sizeof(uint16_t);
  return position * 2 * head * static_cast<double>(sizes.layers * sizes.kv_heads);
}

std::vector<int32_t> prompt_ids(int64_t count, int64_t vocab) {
  std::vector<int32_t> ids(static_cast<size_t>(count));
  for (size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<int32_t>((i * 7919 + 13) % static_cast<size_t>(vocab));
  }
  return ids;
}

Measurement measure_batch(Engine& engine, const BenchArguments& options, double weights) {
  const auto batch = static_cast<size_t>(options.batch);
  const Arch& arch = engine.model().arch;
  std::vector<KvCache> caches;
  caches.reserve(batch);
  std::vector<KvCache*> all;
  const auto before = prompt_ids(options.depth, arch.sizes.vocab);
  for (size_t i = 0; i < batch; ++i) {
    caches.emplace_back(engine.device(), arch, options.tokens + options.depth, options.cache);
    all.push_back(&caches.back());
    if (!before.empty()) engine.prefill(caches.back(), before);
  }
  const std::vector<int32_t> first(batch, 1 % static_cast<int32_t>(arch.sizes.vocab));
  std::vector<int32_t> ids(batch * static_cast<size_t>(options.tokens));
  Measurement result = measure(
      cat("tg", options.tokens, options.depth > 0 ? cat("@d", options.depth) : "", "x", batch),
      options.tokens * options.batch,
      weights / static_cast<double>(batch) + key_bytes(arch, options), options.repetitions,
      engine.device(),
      [&] {
        for (KvCache& cache : caches) cache.truncate(options.depth);
      },
      [&] { engine.greedy(all, first, ids); });
  result.plan = engine.batch_plan_name(caches.front());
  if (options.profile) {
    for (KvCache& cache : caches) cache.truncate(options.depth + options.tokens / 2);
    result.parts = engine.profile(all, first);
  }
  return result;
}

std::vector<Measurement> run(Engine& engine, const BenchArguments& options) {
  const Arch& arch = engine.model().arch;
  const auto weights = static_cast<double>(engine.model().bytes_per_token());
  const bool tinychat = options.protocol == "tinychat";
  KvCache cache(engine.device(), arch, std::max(options.prompt, decoded_positions(options)),
                options.cache);
  const std::vector<int32_t> ids = prompt_ids(options.prompt, arch.sizes.vocab);
  std::vector<Measurement> results;
  if (options.prompt > 0) {
    const int64_t chunk = engine.prompt_chunk(cache, options.prompt);
    const auto passes = (options.prompt + chunk - 1) / chunk;
    results.push_back(measure(
        cat("pp", options.prompt), options.prompt,
        weights * static_cast<double>(passes) / static_cast<double>(options.prompt),
        options.repetitions, engine.device(), [&] { cache.truncate(0); },
        [&] { engine.logits(engine.prefill(cache, ids)); }));
    results.back().plan = engine.prompt_plan_name(cache);
    if (options.profile) {
      cache.truncate(0);
      results.back().parts = engine.profile_prompt(
          cache, std::span(ids).first(static_cast<size_t>(
                     std::min(options.prompt, engine.prompt_chunk(cache, options.prompt)))));
    }
  }
  if (options.tokens > 0 && options.batch > 1) {
    results.push_back(measure_batch(engine, options, weights));
  } else if (options.tokens > 0) {
    std::vector<int32_t> answers(static_cast<size_t>(options.tokens));
    const int32_t first = 1 % static_cast<int32_t>(arch.sizes.vocab);
    const auto before = prompt_ids(tinychat ? kTinyChatPrompt : options.depth, arch.sizes.vocab);
    const std::string depth = options.depth > 0 ? cat("@d", options.depth) : "";
    results.push_back(measure(
        cat(tinychat ? "tinychat" : "tg", options.tokens, depth), options.tokens,
        weights + key_bytes(arch, options),
        options.repetitions, engine.device(),
        [&] {
          cache.truncate(0);
          if (!before.empty()) engine.prefill(cache, before);
        },
        [&] { engine.greedy(cache, first, answers); }));
    results.back().plan = engine.plan_name(cache);
  }
  return results;
}

Status report(Engine& engine, BenchArguments& options, double load_seconds) {
  const Model& model = engine.model();
  AWQ_ASSIGN(options.cache, kv_cache_dtype(options.cache_dtype, model.ops));
  const int64_t context = model.arch.sizes.context;
  if (options.prompt > context || decoded_positions(options) > context) {
    return usage_error(cat("-p and -n must fit the model's context of ", context));
  }
  const std::vector<Measurement> results = run(engine, options);
  Json list = Json::array();
  std::string table =
      "| test | tokens/s | ms/token | GB/s | read roof GB/s | % of roof | plan |\n"
      "|---|---:|---:|---:|---:|---:|---|\n";
  for (const Measurement& m : results) {
    const double percent = 100 * m.gb_per_second() * 1e9 / m.roof;
    list.push_back({{"test", m.test},
                    {"plan", m.plan.empty() ? "op by op" : m.plan},
                    {"tokens_per_second", m.tokens_per_second},
                    {"ms_per_token", m.ms_per_token},
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
    if (!m.parts.empty()) list.back()["profile"] = profile_json(m.parts);
    table += cat("| ", m.test, " | ", fixed(m.tokens_per_second, 1), " ± ", fixed(m.stddev, 1),
                 " | ", fixed(m.ms_per_token, 3), " | ", fixed(m.gb_per_second(), 2), " | ",
                 fixed(m.roof / 1e9, 1), " | ", fixed(percent, 1), " | ",
                 m.plan.empty() ? "op by op" : m.plan, " |\n");
  }
  if (options.model.json) return print_json(list);
  for (const Measurement& m : results) {
    if (!m.parts.empty()) table += cat("\n", m.test, ", one pass\n\n", profile_table(m.parts, m.roof));
  }
  const std::string random =
      options.synthetic.shape.empty() ? "" : cat(options.synthetic.shape, " with random weights, ");
  return print(cat(random, engine.device().description(), "\n\n", table));
}

Status bench(BenchArguments& options) {
  if (options.protocol == "tinychat") {
    if (options.batch > 1 || options.depth > 0) {
      return usage_error("--protocol tinychat decodes one sequence from an empty context; leave --batch "
                         "and --depth out");
    }
    options.prompt = 0;
    options.tokens = kTinyChatTokens;
  }
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
  verb->add_option(
          "--protocol", options->protocol,
          "tinychat: 200 tokens after a prompt of 4, as in figure 5 of the AWQ paper (-p and "
          "-n do not count)")
      ->check(CLI::IsMember({"plain", "tinychat"}))
      ->capture_default_str();
  verb->add_option("-d,--depth", options->depth, "decode behind a context of N tokens (their keys count)")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20))
      ->capture_default_str();
  verb->add_option("-b,--batch", options->batch, "decode this many sequences at once")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}))
      ->capture_default_str();
  verb->add_option("--kv-cache-dtype", options->cache_dtype,
                   "of keys and values: f16, or int8 with a scale per head and position")
      ->check(CLI::IsMember({"f16", "int8"}))
      ->capture_default_str();
  verb->add_flag("--profile", options->profile,
                 "on a GPU, of a prompt and of several sequences at once: time the parts of a pass");
  verb->add_option("-r,--repetitions", options->repetitions, "runs that are averaged")
      ->check(CLI::Range(int64_t{1}, int64_t{1000}))
      ->capture_default_str();
  verb->footer(
      "Examples:\n  awq bench ./smollm2-awq -p 512 -n 128 -r 5\n"
      "  awq bench --synthetic llama-2-7b --device cuda");
  verb->callback([options, &outcome] { outcome.status = bench(*options); });
}

}  // namespace awq
