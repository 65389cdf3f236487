// awq quantize: float checkpoint in, packed checkpoint out.
#include "quant/quantize.h"

#include <cmath>
#include <csignal>
#include <filesystem>

#include "base/file.h"
#include "base/progress.h"
#include "cli/calibration_text.h"
#include "cli/quantize_synthetic.h"
#include "cli/verb.h"
#include "quant/bit_allocation.h"
#include "model/synthetic.h"
#include "quant/plan.h"

namespace awq {
namespace {

struct QuantizeArguments {
  std::string model, out, method = "awq", group = "auto", search_loss = "hessian", max_ram,
                          math = "auto", bits = "4", keep, quality = "standard", target_size, synthetic;
  double target_bpw = 0;
  int64_t layers = 0;
  CalibrationText calibration;
  BackendOptions backend;
  bool symmetric = false, no_clip = false, dry_run = false, json = false, overwrite = false;
  bool reference_groups = false, reference_arithmetic = false, act_order = false;
  bool resume = false, duo = false;
  bool targeted() const { return target_bpw > 0 || !target_size.empty(); }
};

// --quality best is a way to do awq+gptq.
std::string method_of(const QuantizeArguments& options) {
  return options.quality == "best" ? "awq+gptq" : options.method;
}

Result<QuantizeOptions> quantize_options(const QuantizeArguments& options,
                                         const TensorReader& reader) {
  const Arch& arch = reader.arch();
  QuantizeOptions result;
  AWQ_ASSIGN(result.method, parse_method(method_of(options)));
  QuantFormat format;
  format.symmetric = options.symmetric;
  if (options.group == "auto") {
    AWQ_ASSIGN(format.group, auto_group(arch));
    say(cat("group ", format.group, ": the largest of 128, 64, 32 that divides the inputs of every ",
            "linear"));
  } else {
    format.group = options.group == "none" ? 0 : std::stoll(options.group);
  }
  AWQ_ASSIGN(result.formats, FormatPlan::parse(arch, format, options.bits, options.keep));
  if (options.reference_arithmetic && result.compensated()) {
    return usage_error("--reference-arithmetic is llm-awq's, for --method awq or rtn; leave it out "
                       "with gptq");
  }
  if (options.act_order && !result.compensated()) {
    return usage_error("--act-order is an order of GPTQ's; add --method gptq or awq+gptq");
  }
  result.gptq.act_order = options.act_order;
  result.best = options.quality == "best";
  if (options.duo && !result.scaled()) {
    return usage_error("--duo is a way to make AWQ's scales; add --method awq or awq+gptq");
  }
  result.clip = !options.no_clip;
  result.duo = options.duo;
  result.search_loss = options.search_loss == "module" ? SearchLoss::module : SearchLoss::hessian;
  result.fold.reference_groups = options.reference_groups;
  result.arithmetic = options.reference_arithmetic ? Arithmetic::f16 : Arithmetic::f32;
  result.calibration_length = options.calibration.length;
  AWQ_TRY(check_formats(reader, result.formats));
  return result;
}

Result<BitTarget> bit_target(const QuantizeArguments& options) {
  BitTarget target{options.target_bpw, 0};
  if (!options.target_size.empty()) {
    AWQ_ASSIGN(target.bytes, parse_size(options.target_size));
  }
  return target;
}

// Bits by linear for --target-bpw or --target-size; the report's "allocation".
Result<Json> allocate(const QuantizeArguments& options, const OpenCheckpoint& source,
                      std::span<const TokenId> tokens, const Ops& ops, QuantizeOptions& quantize) {
  AWQ_ASSIGN(const BitTarget target, bit_target(options));
  Progress progress("measuring bit widths, layer", source.reader->arch().sizes.layers);
  AWQ_ASSIGN(Json allocation,
             choose_bits(*source.reader, ops, tokens, target, quantize,
                         [&](const QuantizeProgress& layer) { progress.update(layer.layer); }));
  say(cat(quantize.formats.name(), ": ",
          fixed(quantize.formats.bits_per_weight(source.reader->arch()), 3), " bits per weight"));
  return allocation;
}

// Refuses a run that would not fit, before any work.
Status check_memory(const QuantizeArguments& options, const QuantizePlan& plan) {
  if (options.max_ram.empty()) return {};
  AWQ_ASSIGN(const uint64_t limit, parse_size(options.max_ram));
  if (plan.peak_bytes <= limit) return {};
  return resource_error(cat("this run needs about ", human_bytes(plan.peak_bytes),
                            ", --max-ram allows ", human_bytes(limit),
                            "; lower --calib-samples or --calib-length"));
}

Json options_json(const QuantizeArguments& options, const QuantizeOptions& quantize) {
  const QuantFormat& format = quantize.formats.base();
  Json json = {{"method", method_of(options)},
               {"quality", options.quality},
               {"bits", format.bits},
               {"group", format.group},
               {"symmetric", format.symmetric},
               {"format", quantize.formats.name()}};
  if (options.targeted()) {
    if (options.target_bpw > 0) json["target_bpw"] = options.target_bpw;
    if (!options.target_size.empty()) json["target_size"] = options.target_size;
    json["keep"] = options.keep;
  } else if (!quantize.formats.uniform() || quantize.formats.head()) {
    json["bits_of"] = options.bits;
    json["keep"] = options.keep;
  }
  if (quantize.compensated()) {
    json["act_order"] = quantize.gptq.act_order;
    json["damping"] = quantize.gptq.damping;
  }
  if (quantize.scaled()) {
    json["clip"] = quantize.clip;
    json["grid"] = quantize.grid;
    json["duo"] = quantize.duo;
    json["search_loss"] = options.search_loss;
    json["reference_groups"] = options.reference_groups;
  }
  if (quantize.calibrated()) {
    json["calibration"] = options.synthetic.empty() ? options.calibration.source : "random";
    json["calibration_samples"] = options.calibration.samples;
    json["calibration_length"] = options.calibration.length;
    json["seed"] = options.calibration.seed;
  }
  json["reference_arithmetic"] = options.reference_arithmetic;
  return json;
}

Status dry_run(const QuantizeArguments& options, const QuantizeOptions& quantize,
               const QuantizePlan& plan, const Arch& arch, const Ops& ops) {
  const double seconds = plan.flops / measure_flops(ops);
  const double bits_per_weight = quantize.formats.bits_per_weight(arch);
  if (options.json) {
    return print_json({{"peak_rss_bytes", plan.peak_bytes},
                       {"output_bytes", plan.output_bytes},
                       {"seconds", seconds},
                       {"bits_per_weight", bits_per_weight},
                       {"options", options_json(options, quantize)}});
  }
  return print(cat("format       ", quantize.formats.name(), " (", fixed(bits_per_weight, 2),
                   " bits per weight)", "\noutput       ",
                   human_bytes(plan.output_bytes), "\npeak memory  ", human_bytes(plan.peak_bytes),
                   "\ntime         about ", human_seconds(seconds), "\n"));
}

std::string layer_note(const QuantizeProgress& progress) {
  const std::string memory = human_bytes(current_rss_bytes());
  if (progress.loss_rounding == 0) return memory;
  return cat("loss ", fixed(100 * progress.loss_choice, 3), "% (rounding ",
             fixed(100 * progress.loss_rounding, 3), "%) · ", memory);
}

// A first Ctrl-C lets the block be finished; a second one ends the program.
volatile std::sig_atomic_t interrupted = 0;

class Interruptible {
 public:
  Interruptible() {
    interrupted = 0;
    for (const int signal : {SIGINT, SIGTERM}) {
      std::signal(signal, [](int number) {
        interrupted = 1;
        std::signal(number, SIG_DFL);
      });
    }
  }
  ~Interruptible() {
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, SIG_DFL);
  }
};

Status resume_journal(const std::string& out, QuantizeJournal& journal, OutputDirectory& output) {
  const auto resumed = journal.resume();
  if (!resumed.ok()) {
    output.keep();  // for the options that it was begun with
    return resumed.error();
  }
  say(*resumed ? cat("going on after layer ", journal.layers(), " of ", printable(out), ".partial")
               : cat("no run to ", printable(out), " left anything: from the beginning"));
  return {};
}

// Experts that the calibration text hardly reached, by name; the report lists all.
void say_starved(const Json& starved) {
  if (starved.empty()) return;
  constexpr size_t kNamed = 8;
  std::string names;
  for (size_t i = 0; i < std::min(starved.size(), kNamed); ++i) {
    append_item(names, cat("layer ", starved[i]["layer"].get<int64_t>(), " expert ",
                           starved[i]["expert"].get<int64_t>(), " (",
                           starved[i]["tokens"].get<int64_t>(), " tokens)"));
  }
  say(cat(starved.size(), " experts saw too few calibration tokens and were rounded as they are: ",
          names, starved.size() > kNamed ? ", ..." : "", "; calibrate on more text"));
}

Status check_target(const CLI::App& verb, const TensorReader& reader,
                    const QuantizeArguments& options, const QuantizeOptions& quantize) {
  if (verb.count("--bits") > 0 || (options.target_bpw > 0 && !options.target_size.empty())) {
    return usage_error("--bits, --target-bpw and --target-size exclude each other");
  }
  if (options.dry_run || !quantize.calibrated()) {
    return usage_error("a target needs calibration text to measure losses on: not with --dry-run or "
                       "--method rtn");
  }
  AWQ_ASSIGN(const BitTarget target, bit_target(options));
  return check_bit_target(reader, target, quantize);
}

// MODEL and what goes with it, or --synthetic.
Status check_source(const CLI::App& verb, const QuantizeArguments& options) {
  if (options.synthetic.empty()) {
    if (options.model.empty()) return usage_error("MODEL is required, or --synthetic SHAPE");
    if (options.layers > 0) return usage_error("--layers is of --synthetic; a MODEL has its own");
    return {};
  }
  if (!options.model.empty()) return usage_error("give MODEL or --synthetic SHAPE, not both");
  for (const char* name : {"--calib", "--seed", "--resume", "--target-bpw", "--target-size"}) {
    if (verb.count(name) == 0) continue;
    return usage_error(cat(name, " says nothing of random weights; leave it out with --synthetic"));
  }
  AWQ_ASSIGN(const Arch whole, synthetic_arch(options.synthetic, 0));
  if (options.layers <= whole.sizes.layers) return {};
  return usage_error(cat("--layers ", options.layers, ": ", options.synthetic, " has ",
                         whole.sizes.layers));
}

Result<OpenCheckpoint> open_source(const QuantizeArguments& options) {
  if (options.synthetic.empty()) return OpenCheckpoint::open(options.model);
  ThreadPool pool(options.backend.threads);
  return open_synthetic(options.synthetic, options.layers, pool);
}

// Of the whole model, where only some layers are quantized.
Result<int64_t> parameters_of(const QuantizeArguments& options, const Arch& arch) {
  if (options.synthetic.empty()) return parameter_count(arch);
  AWQ_ASSIGN(const Arch whole, synthetic_arch(options.synthetic, 0));
  return parameter_count(whole);
}

Status quantize(const CLI::App& verb, QuantizeArguments& options, std::string_view version) {
  const Timer timer;
  AWQ_TRY(check_source(verb, options));
  for (const auto& [name, value] : {std::pair("--target-size", options.target_size), {"--max-ram", options.max_ram}}) {
    if (verb.count(name) > 0 && value.empty()) return usage_error(cat(name, ": a size is missing"));
  }
  if (std::isnan(options.target_bpw)) return usage_error("--target-bpw: nan is no number of bits");
  AWQ_ASSIGN(const OpenCheckpoint source, open_source(options));
  const Arch& arch = source.reader->arch();
  if (source.reader->quantization()) {
    return bad_input(cat(printable(options.model), ": already quantized to ",
                         format_name(source.reader->quantization()->format),
                         "; quantize the float checkpoint it was made from"));
  }
  if (options.quality == "best" && verb.count("--method") > 0 && options.method != "awq+gptq") {
    return usage_error(cat("--quality best is awq+gptq with every linear's best rounding; leave --method ",
                           options.method, " out"));
  }
  if (method_of(options) != "rtn") AWQ_TRY(fit_to_context(verb, arch, options.calibration));
  AWQ_ASSIGN(QuantizeOptions quantize, quantize_options(options, *source.reader));
  if (options.targeted()) AWQ_TRY(check_target(verb, *source.reader, options, quantize));
  const bool calibrated = quantize.calibrated();
  AWQ_ASSIGN(const Backend backend, open_backend(options.backend));
  Device* device = backend.device.get();
  // What f32 costs a GPU is some seconds per billion of parameters.
  AWQ_ASSIGN(const int64_t parameters, parameters_of(options, arch));
  const bool tf32 =
      options.math == "tf32" || (options.math == "auto" && parameters > 1'000'000'000);
  const Ops ops = quantization_ops(backend, tf32);

  const int64_t wanted = options.calibration.samples * options.calibration.length;
  QuantizePlan plan =
      plan_quantize(*source.reader, quantize, calibrated ? wanted : 0, device->pool().size());
  if (calibrated && options.synthetic.empty()) {
    plan_calibration_text(*source.reader, options.calibration, plan);
  }
  if (options.targeted()) {
    plan.peak_bytes += with_allocator_slack(bit_choice_bytes(*source.reader, quantize));
  }
  if (!options.synthetic.empty()) {  // the random weights themselves: all layers are one block's bytes
    AWQ_ASSIGN(const Arch one, synthetic_arch(options.synthetic, 1));
    plan.peak_bytes += 2 * static_cast<uint64_t>(parameter_count(one));
  }
  AWQ_TRY(check_memory(options, plan));
  if (options.dry_run) return dry_run(options, quantize, plan, arch, ops);
  if (!options.synthetic.empty()) {
    const Interruptible interruptible;
    return quantize_synthetic(source, ops, quantize,
                              {options.synthetic, options.calibration.samples, options.out,
                               options.overwrite, options.json, options_json(options, quantize)},
                              [] { return interrupted != 0; });
  }
  if (options.out.empty()) return usage_error("-o OUT is required: the directory to write");
  std::vector<std::string> inputs = {options.model};
  if (options.calibration.source != "self") inputs.push_back(options.calibration.source);
  AWQ_ASSIGN(OutputDirectory output,
             OutputDirectory::create(options.out, options.overwrite, inputs, options.resume));
  QuantizeJournal journal(output, {{"options", options_json(options, quantize)},
                                   {"input", source.checkpoint->fingerprint()},
                                   {"version", version},
                                   {"backend", ops.name},
                                   {"tf32", tf32}});
  if (options.resume) AWQ_TRY(resume_journal(options.out, journal, output));
  AWQ_TRY(source.reader->check_frame_finite(device->pool()));

  std::vector<TokenId> tokens = journal.tokens();
  double text_seconds = 0;
  if (calibrated && !journal.started()) {
    const Timer text_timer;
    AWQ_ASSIGN(tokens, calibration_tokens(source, options.calibration, ops));
    text_seconds = text_timer.seconds();
  }
  Json allocation;
  if (options.targeted()) {
    AWQ_ASSIGN(allocation, allocate(options, source, tokens, ops, quantize));
    AWQ_TRY(journal.agree("widths", quantize.formats.widths()));
  }
  const Interruptible interruptible;
  Result<Json> made = [&] {
    Progress progress("layer", arch.sizes.layers);
    return quantize_model(*source.reader, ops, tokens, quantize, output, journal,
                          [&](const QuantizeProgress& layer) {
                            progress.update(layer.layer, layer_note(layer));
                          },
                          [] { return interrupted != 0; });
  }();
  if (!made.ok() && journal.layers() > 0 && made.error().kind != ErrorKind::bad_input) {
    output.keep();
    return Error{made.error().kind,
                 cat(made.error().message, "; ", journal.layers(), " finished layers are kept in ",
                     printable(options.out), ".partial: the same command with --resume goes on")};
  }
  AWQ_ASSIGN(Json report, std::move(made));
  AWQ_TRY(write_vocabulary(*source.checkpoint, *source.vocabulary, output.file("")));

  report["seconds"]["calibration_text"] = text_seconds;
  report["seconds"]["total"] = timer.seconds();
  const uint64_t output_bytes = bytes_in(output.file(""));
  Json result = {{"family", arch.family},
                 {"parameters", parameter_count(arch)},
                 {"options", options_json(options, quantize)},
                 {"bits_per_weight", quantize.formats.bits_per_weight(arch)},
                 {"calibration_tokens", tokens.size()},
                 {"input_bytes", source.checkpoint->file_bytes()},
                 {"input_fingerprint", source.checkpoint->fingerprint()},
                 {"output_bytes", output_bytes},
                 {"peak_rss_bytes", peak_rss_bytes()},
                 {"backend", ops.name}};
  if (!allocation.is_null()) result["allocation"] = allocation;
  for (const auto& [key, value] : report.items()) result[key] = value;
  AWQ_TRY(write_file(output.file("quantization_report.json"), dump_json(result, 1) + "\n"));
  AWQ_TRY(output.commit());
  if (const auto starved = report.find("starved_experts"); starved != report.end()) {
    say_starved(*starved);
  }
  say(cat("wrote ", printable(options.out), " (", human_bytes(output_bytes), ") in ",
          human_seconds(timer.seconds()), ", peak ", human_bytes(peak_rss_bytes()),
          "; try: awq chat ", printable(options.out)));
  return options.json ? print_json(result) : Status();
}

}  // namespace

uint64_t bytes_in(const std::string& directory) {
  uint64_t bytes = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    if (entry.path().filename().string().rfind(".awq-", 0) == 0) continue;  // a journal's, gone in the end
    bytes += entry.file_size(ignored);
  }
  return bytes;
}

void add_quantize(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<QuantizeArguments>();
  CLI::App* verb = app.add_subcommand("quantize", "search AWQ scales and clips, pack, write");
  add_model_argument(*verb, options->model)->required(false);
  verb->add_option("-o,--output", options->out, "directory to write (must not exist)")
      ->type_name("OUT");
  verb->add_option("--method", options->method,
                   "rtn: plain rounding; awq: scales and clips; gptq: errors taken back column by "
                   "column; awq+gptq: both")
      ->check(CLI::IsMember({"rtn", "awq", "gptq", "awq+gptq"}))
      ->capture_default_str();
  verb->add_option("--quality", options->quality,
                   "best: awq+gptq, for each linear the rounding that loses least on held-out text")
      ->check(CLI::IsMember({"standard", "best"}))
      ->capture_default_str();
  verb->add_option("--bits", options->bits,
                   "bits of a weight: 2, 3, 4 or 8, or by linear: down=4,0.*=8,lm_head=8,*=3")
      ->capture_default_str();
  verb->add_option("--target-bpw", options->target_bpw,
                   "bits by linear to at most this many bits per weight, scales and zeros included")
      ->check(CLI::Range(1.0, 16.0))
      ->type_name("BITS");
  verb->add_option("--target-size", options->target_size,
                   "bits by linear to at most this size of all tensors, e.g. 1.5GiB")
      ->type_name("SIZE");
  verb->add_option("--keep", options->keep, "linears that stay in float, such as 0.down,v")
      ->type_name("NAMES");
  verb->add_flag("--act-order", options->act_order,
                 "gptq: columns with the most input energy first, groups as they lie");
  verb->add_option("--group", options->group,
                   "inputs that share a scale; auto: 128, 64 or 32; none: the whole row")
      ->check(CLI::IsMember({"auto", "16", "32", "64", "128", "256", "none"}))
      ->capture_default_str();
  verb->add_flag("--sym", options->symmetric, "symmetric: no zero points");
  add_calibration_options(*verb, options->calibration);
  verb->add_flag("--no-clip", options->no_clip, "no clip search");
  verb->add_flag("--duo", options->duo,
                 "scales from activations and weights, as AutoAWQ's duo scaling");
  verb->add_option("--search-loss", options->search_loss,
                   "hessian: each linear's output error; module: the reference's (slow)")
      ->check(CLI::IsMember({"hessian", "module"}))
      ->capture_default_str();
  verb->add_flag("--reference-groups", options->reference_groups,
                 "fold v into o only where their shapes are equal, as llm-awq does");
  verb->add_flag("--reference-arithmetic", options->reference_arithmetic,
                 "round every intermediate to half precision, as llm-awq does");
  verb->add_option("--math", options->math,
                   "products on a GPU: f32, tf32 (inputs rounded to 11 bits, many times as fast), "
                   "auto: tf32 above a billion parameters")
      ->check(CLI::IsMember({"auto", "f32", "tf32"}))
      ->capture_default_str();
  verb->add_option("--synthetic", options->synthetic,
                   "instead of MODEL: random weights of a shape of `awq bench`, for the time and "
                   "memory; without -o packed and dropped")
      ->type_name("SHAPE");
  verb->add_option("--layers", options->layers,
                   "of --synthetic: so many layers, the time of all is extrapolated")
      ->check(CLI::Range(int64_t{1}, int64_t{1024}))
      ->type_name("N");
  verb->add_option("--max-ram", options->max_ram, "refuse to use more memory, e.g. 900MB")
      ->type_name("SIZE");
  verb->add_flag("--dry-run", options->dry_run, "predict memory, time and size; write nothing");
  verb->add_flag("--resume", options->resume,
                 "go on with what a stopped or killed run to OUT left; the same bytes come out");
  verb->add_flag("--overwrite", options->overwrite,
                 "replace OUT if awq wrote it and nothing else is in it");
  add_backend_options(*verb, options->backend);
  add_json_option(*verb, options->json);
  verb->footer(
      "Examples:\n  awq quantize ./SmolLM2-135M -o ./smollm2-awq\n"
      "  awq quantize ./model.gguf -o ./out --bits 3 --group 64 --calib text.txt\n"
      "  awq quantize --synthetic llama-3-8b --layers 4 --device cuda");
  verb->callback([options, verb, &outcome] { outcome.status = quantize(*verb, *options, outcome.version); });
}

}  // namespace awq
