// awq bench: prefill and decode speed, held against this machine's memory.
#include <algorithm>
#include <cmath>
#include <functional>

#include "base/instruction_counter.h"
#include "base/progress.h"
#include "cli/bench_quantize.h"
#include "cli/bench_report.h"
#include "cli/generation_options.h"
#include "cli/verb.h"
#include "eval/text_protocol.h"
#include "model/synthetic.h"

namespace awq {
namespace {

struct BenchArguments {
  ModelOptions model;
  int64_t prompt = 512, tokens = 128, repetitions = 5, batch = 1;
  int64_t depth = 0;
  SyntheticOptions synthetic;
  std::string protocol = "plain", output = "md", kv_cache = "f16", text;
  DraftOptions draft;
  SamplerOptions sampler;
  bool profile = false;
};

constexpr int64_t kTinyChatPrompt = 4, kTinyChatTokens = 200;

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
  Measurement result;
  result.peak = peak_rss_bytes();
  const InstructionCounter instructions;
  const auto n = static_cast<double>(repetitions), all = n * static_cast<double>(tokens);
  for (int64_t i = 0; i < repetitions; ++i) {
    prepare();
    device.synchronize();
    const uint64_t barriers = device.pool().barriers(), before = instructions.read();
    const Timer timer;
    work();
    device.synchronize();
    const double seconds = timer.seconds();
    // Instructions for now; `report` knows the number of weights.
    result.instructions_per_weight += static_cast<double>(instructions.read() - before) / all;
    result.barriers_per_token += static_cast<double>(device.pool().barriers() - barriers) / all;
    speeds.push_back(static_cast<double>(tokens) / seconds);
    milliseconds.push_back(1e3 * seconds / static_cast<double>(tokens));
    roofs.push_back(measure_read_roof(device));
  }
  result.test = std::move(test);
  result.bytes_per_token = bytes_per_token;
  result.ms_per_token = median(milliseconds);
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
double key_bytes(const Arch& arch, const BenchArguments& options, DType kv) {
  if (options.depth == 0) return 0;
  const auto position = static_cast<double>(options.depth) + static_cast<double>(options.tokens) / 2;
  const Sizes& sizes = arch.sizes;
  const auto vector = sizes.head_dim * dtype_info(kv).block_bytes +
                      (kv == DType::i8 ? static_cast<int64_t>(sizeof(float)) : 0);
  return position * 2 * static_cast<double>(sizes.layers * sizes.kv_heads * vector);
}

std::vector<int32_t> prompt_ids(int64_t count, int64_t vocab) {
  std::vector<int32_t> ids(static_cast<size_t>(count));
  for (size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<int32_t>((i * 7919 + 13) % static_cast<size_t>(vocab));
  }
  return ids;
}

/// What a measured step cannot return: logits of the model that are not finite. Ends in run_and_report().
struct SamplingFailure {
  Error error;
};

// By the most likely tokens, or by sampling.
void decode(Engine& engine, const BenchArguments& options, std::span<KvCache* const> caches,
            std::span<const int32_t> first, std::span<int32_t> ids) {
  if (options.sampler.greedy()) {
    return caches.size() == 1 ? engine.greedy(*caches[0], first[0], ids)
                              : engine.greedy(caches, first, ids);
  }
  const Status done = sample_steps(engine, caches, first, options.sampler, options.tokens);
  if (!done.ok()) throw SamplingFailure{done.error()};
}

Measurement measure_batch(Engine& engine, const BenchArguments& options, double weights, DType kv) {
  const auto batch = static_cast<size_t>(options.batch);
  const Arch& arch = engine.model().arch;
  std::vector<KvCache> caches;
  caches.reserve(batch);
  std::vector<KvCache*> all;
  const auto before = prompt_ids(options.depth, arch.sizes.vocab);
  for (size_t i = 0; i < batch; ++i) {
    caches.emplace_back(engine.device(), arch, options.tokens + options.depth, kv);
    all.push_back(&caches.back());
    if (!before.empty()) engine.prefill(caches.back(), before);
  }
  const std::vector<int32_t> first(batch, 1 % static_cast<int32_t>(arch.sizes.vocab));
  std::vector<int32_t> ids(batch * static_cast<size_t>(options.tokens));
  Measurement result = measure(
      cat("tg", options.tokens, options.depth > 0 ? cat("@d", options.depth) : "", "x", batch),
      options.tokens * options.batch,
      weights / static_cast<double>(batch) + key_bytes(arch, options, kv), options.repetitions,
      engine.device(),
      [&] {
        for (KvCache& cache : caches) cache.truncate(options.depth);
      },
      [&] { decode(engine, options, all, first, ids); });
  result.plan = engine.batch_plan_name(caches.front());
  if (options.profile) {
    for (KvCache& cache : caches) cache.truncate(options.depth + options.tokens / 2);
    result.parts = engine.profile(all, first);
  }
  return result;
}

Measurement measure_decode(Engine& engine, const BenchArguments& options, double weights, DType kv,
                           KvCache& cache) {
  const Arch& arch = engine.model().arch;
  const bool tinychat = options.protocol == "tinychat";
  std::vector<int32_t> answers(static_cast<size_t>(options.tokens));
  const int32_t first = 1 % static_cast<int32_t>(arch.sizes.vocab);
  const auto before = prompt_ids(tinychat ? kTinyChatPrompt : options.depth, arch.sizes.vocab);
  const std::string depth = options.depth > 0 ? cat("@d", options.depth) : "";
  if (options.profile) engine.profile(cache);
  Measurement result = measure(
      cat(tinychat ? "tinychat" : "tg", options.tokens, depth), options.tokens,
      weights + key_bytes(arch, options, kv), options.repetitions, engine.device(),
      [&] {
        // The keys of the context stay from one run to the next.
        const auto kept = static_cast<int64_t>(before.size());
        cache.truncate(cache.length() > kept ? kept : 0);
        if (cache.length() < kept) engine.prefill(cache, before);
      },
      [&] {
        KvCache* const one = &cache;
        decode(engine, options, {&one, 1}, {&first, 1}, answers);
      });
  result.plan = engine.plan_name(cache);
  if (!options.profile) return result;
  const auto runs = static_cast<double>((options.repetitions + 1) * options.tokens);
  result.parts = engine.profile(cache);
  for (PartTime& part : result.parts) part.microseconds /= runs;
  if (result.parts.empty()) say(cat("--profile: ", result.plan_name(), " decoding has no split"));
  return result;
}

std::vector<Measurement> run(Engine& engine, const BenchArguments& options, DType kv) {
  const Arch& arch = engine.model().arch;
  const auto weights = static_cast<double>(engine.model().bytes_per_token());
  KvCache cache(engine.device(), arch, std::max(options.prompt, decoded_positions(options)), kv);
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
    results.push_back(measure_batch(engine, options, weights, kv));
  } else if (options.tokens > 0) {
    results.push_back(measure_decode(engine, options, weights, kv, cache));
  }
  return results;
}

// Continues pieces of a real text, each without and with guesses, one after the other.
Result<std::vector<Measurement>> run_guessed(Session& session, const BenchArguments& options, DType kv) {
  Engine& engine = session.engine();
  AWQ_ASSIGN(const std::string text, read_text(options.text, Protocol::plain));
  AWQ_ASSIGN(const std::vector<TokenId> ids, session.tokenizer().encode(text));
  const auto prompt = static_cast<size_t>(options.prompt);
  const auto pieces = static_cast<size_t>(options.repetitions);
  if (ids.size() < prompt * pieces || prompt == 0) {
    return usage_error(cat("--text ", printable(options.text), " has ", ids.size(), " tokens, ", pieces,
                           " prompts of ", prompt, " need more; lower -p or -r"));
  }
  KvCache cache(engine.device(), engine.model().arch, options.prompt + options.tokens, kv);
  AWQ_ASSIGN(const OpenDraft draft,
             OpenDraft::open(options.draft, session, options.prompt + options.tokens, kv));
  std::vector<Measurement> results(2);
  double seconds[2] = {0, 0}, passes = 0, tokens = 0;
  for (size_t piece = 0; piece < pieces; ++piece) {
    const auto ids_of = std::span(ids).subspan(ids.size() / pieces * piece, prompt);
    std::vector<int32_t> answers[2];
    for (int guessed = 0; guessed < 2; ++guessed) {
      GenerateOptions generation;
      generation.max_tokens = options.tokens;
      generation.drafter = guessed != 0 ? draft.drafter.get() : nullptr;
      generation.guesses = options.draft.tokens;
      cache.truncate(0);
      AWQ_ASSIGN(const Generation done, generate(engine, cache, ids_of, generation));
      seconds[guessed] += done.decode_seconds;
      for (const GeneratedToken& token : done.tokens) answers[guessed].push_back(token.id);
      if (guessed == 0) continue;
      results[1].guessed += done.guessed;
      results[1].accepted += done.accepted;
      passes += static_cast<double>(done.decode_passes);
      tokens += static_cast<double>(done.decode_tokens);
    }
    if (answers[0] != answers[1]) say(cat("piece ", piece, ": the answers differ"));
  }
  const double roof = measure_read_roof(engine.device());
  for (int guessed = 0; guessed < 2; ++guessed) {
    Measurement& m = results[static_cast<size_t>(guessed)];
    m.test = cat("text", options.tokens, guessed != 0 ? "+guesses" : "");
    m.tokens_per_second = tokens / seconds[guessed];
    m.ms_per_token = 1e3 / m.tokens_per_second;
    m.roof = roof;
    m.bytes_per_token = static_cast<double>(engine.model().bytes_per_token()) *
                        (guessed != 0 ? passes / tokens : 1);
    m.peak = peak_rss_bytes();
  }
  results[0].plan = engine.plan_name(cache);
  results[1].tokens_per_pass = tokens / passes;
  results[1].gain = seconds[0] / seconds[1];
  return results;
}

Status report(std::vector<Measurement> results, const Engine& engine, const BenchArguments& options,
              double load_seconds) {
  const Model& model = engine.model();
  BenchSubject subject;
  subject.random = !options.synthetic.shape.empty();
  subject.model = subject.random ? options.synthetic.shape : options.model.model;
  subject.device = engine.device().description();
  subject.backend = model.ops.name;
  subject.activations = options.model.backend.activations == Activations::a8 ? "a8" : "a16";
  subject.load_seconds = load_seconds;
  for (Measurement& m : results) {
    m.instructions_per_weight /= static_cast<double>(parameter_count(model.arch));
  }
  const BenchOutput output = options.model.json || options.output == "json" ? BenchOutput::json
                             : options.output == "csv"                     ? BenchOutput::csv
                                                                           : BenchOutput::md;
  return print(bench_report(results, subject, output));
}

Status run_and_report(Engine& engine, const BenchArguments& options, double load_seconds) {
  const Arch& arch = engine.model().arch;
  const int64_t context = arch.sizes.context;
  // Random weights may be run behind any context, where positions are not looked up in a table.
  const bool bounded = options.synthetic.shape.empty() || arch.learned_positions;
  if (bounded && (options.prompt > context || decoded_positions(options) > context)) {
    return usage_error(cat("-p, -n and --depth must fit the model's context of ", context));
  }
  AWQ_ASSIGN(const DType kv, kv_cache_dtype(options.kv_cache, engine.model().ops));
  try {
    return report(run(engine, options, kv), engine, options, load_seconds);
  } catch (const SamplingFailure& failure) {
    return failure.error;
  }
}

Status run_and_report_guesses(Session& session, const BenchArguments& options) {
  if (options.text.empty()) return usage_error("--draft is measured on real text; give --text FILE");
  if (options.prompt + options.tokens > session.model().arch.sizes.context) {
    return usage_error(cat("-p and -n must fit the model's context of ",
                           session.model().arch.sizes.context));
  }
  AWQ_ASSIGN(const DType kv, kv_cache_dtype(options.kv_cache, session.model().ops));
  AWQ_ASSIGN(const std::vector<Measurement> results, run_guessed(session, options, kv));
  return report(results, session.engine(), options, session.load_seconds());
}

Status bench(BenchArguments& options) {
  AWQ_TRY(check_sampler_options(options.sampler));
  if (options.protocol == "tinychat") {
    if (options.batch > 1 || options.depth > 0) {
      return usage_error("--protocol tinychat decodes one sequence from an empty context; leave --batch "
                         "and --depth out");
    }
    options.prompt = 0;
    options.tokens = kTinyChatTokens;
  }
  if (!options.draft.draft.empty() &&
      (options.batch > 1 || options.depth > 0 || options.protocol != "plain" || options.profile)) {
    return usage_error("--draft continues --text; leave --batch, --depth, --protocol and --profile out");
  }
  if (!options.draft.draft.empty() && !options.sampler.greedy()) {
    return usage_error("--draft is measured with the most likely tokens; leave --temp and --repeat-penalty out");
  }
  if (options.synthetic.shape.empty()) {
    if (options.model.model.empty()) return usage_error("give a MODEL or --synthetic SHAPE");
    AWQ_ASSIGN(Session session, Session::open(options.model.model, options.model.backend));
    if (!options.draft.draft.empty()) return run_and_report_guesses(session, options);
    return run_and_report(session.engine(), options, session.load_seconds());
  }
  if (!options.model.model.empty()) {
    return usage_error("give a MODEL or --synthetic SHAPE, not both");
  }
  if (!options.draft.draft.empty()) return usage_error("--draft needs a MODEL: random weights say nothing");
  AWQ_ASSIGN(const Backend backend, open_backend(options.model.backend));
  const Timer timer;
  AWQ_ASSIGN(const Model model, make_synthetic_model(options.synthetic, backend.ops));
  const double seconds = timer.seconds();
  Engine engine(model);
  return run_and_report(engine, options, seconds);
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
  verb->add_option("--head-bits", options->synthetic.head_bits, "of --synthetic: bits of the head, 8 or 16")
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
  verb->add_option("-r,--repetitions", options->repetitions, "runs that are averaged")
      ->check(CLI::Range(int64_t{1}, int64_t{1000}))
      ->capture_default_str();
  verb->add_option("-o,--output", options->output, "table for people (md), or csv or json for scripts")
      ->check(CLI::IsMember({"md", "csv", "json"}))
      ->capture_default_str();
  verb->add_flag("--profile", options->profile, "also time the parts of a decode step, and on a GPU of a prompt's pass");
  add_kv_cache_option(*verb, options->kv_cache);
  add_sampler_options(*verb, options->sampler);
  add_draft_options(*verb, options->draft);
  verb->add_option("--text", options->text,
                   "with --draft: continue -r pieces of -p tokens of this text, without and with guesses")
      ->type_name("FILE");
  verb->footer(
      "Examples:\n  awq bench ./smollm2-awq -p 512 -n 128 -r 5\n"
      "  awq bench ./smollm2-awq -p 0 --profile\n"
      "  awq bench ./smollm2-awq --draft ngram --text wiki.test.raw -p 256\n"
      "  awq bench --synthetic tinyllama-1.1b -p 0 --depth 4000 --kv-cache-dtype int8\n"
      "  awq bench --synthetic llama-2-7b -p 0 --temp 0.8 --top-k 40 --top-p 0.95\n"
      "  awq bench --synthetic llama-2-7b --device cuda");
  const CLI::App* quantization = add_bench_quantize(*verb, outcome);
  verb->callback([options, quantization, &outcome] {
    if (!quantization->parsed()) outcome.status = bench(*options);
  });
}

}  // namespace awq
