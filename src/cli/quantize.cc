// awq quantize: float checkpoint in, packed checkpoint out.
#include "quant/quantize.h"

#include <filesystem>

#include "base/file.h"
#include "base/progress.h"
#include "cli/calibration_text.h"
#include "cli/verb.h"
#include "quant/plan.h"

namespace awq {
namespace {

struct QuantizeArguments {
  std::string model, out, method = "awq", group = "auto", search_loss = "hessian", max_ram,
                          math = "auto";
  CalibrationText calibration;
  int bits = 4;
  BackendOptions backend;
  bool symmetric = false, no_clip = false, dry_run = false, json = false, overwrite = false;
  bool reference_groups = false, reference_arithmetic = false;
};

Result<QuantizeOptions> quantize_options(const QuantizeArguments& options, const Arch& arch) {
  QuantizeOptions result;
  result.method = options.method == "rtn" ? Method::rtn : Method::awq;
  result.format.bits = options.bits;
  result.format.symmetric = options.symmetric;
  if (options.group == "auto") {
    AWQ_ASSIGN(result.format.group, auto_group(arch));
    say(cat("group ", result.format.group, ": the largest of 128, 64, 32 that divides the inputs ",
            "of every linear"));
  } else {
    result.format.group = options.group == "none" ? 0 : std::stoll(options.group);
  }
  result.clip = !options.no_clip;
  result.search_loss = options.search_loss == "module" ? SearchLoss::module : SearchLoss::hessian;
  result.fold.reference_groups = options.reference_groups;
  result.arithmetic = options.reference_arithmetic ? Arithmetic::f16 : Arithmetic::f32;
  result.calibration_length = options.calibration.length;
  AWQ_TRY(check_format(arch, result.format));
  return result;
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
  Json json = {{"method", options.method},
               {"bits", quantize.format.bits},
               {"group", quantize.format.group},
               {"symmetric", quantize.format.symmetric},
               {"format", format_name(quantize.format)}};
  if (quantize.method == Method::awq) {
    json["clip"] = quantize.clip;
    json["grid"] = quantize.grid;
    json["search_loss"] = options.search_loss;
    json["reference_groups"] = options.reference_groups;
    json["calibration"] = options.calibration.source;
    json["calibration_samples"] = options.calibration.samples;
    json["calibration_length"] = options.calibration.length;
    json["seed"] = options.calibration.seed;
  }
  json["reference_arithmetic"] = options.reference_arithmetic;
  return json;
}

Status dry_run(const QuantizeArguments& options, const QuantizeOptions& quantize,
               const QuantizePlan& plan, const Ops& ops) {
  const double seconds = plan.flops / measure_flops(ops);
  if (options.json) {
    return print_json({{"peak_rss_bytes", plan.peak_bytes},
                       {"output_bytes", plan.output_bytes},
                       {"seconds", seconds},
                       {"options", options_json(options, quantize)}});
  }
  return print(cat("format       ", format_name(quantize.format), "\noutput       ",
                   human_bytes(plan.output_bytes), "\npeak memory  ", human_bytes(plan.peak_bytes),
                   "\ntime         about ", human_seconds(seconds), "\n"));
}

std::string layer_note(const QuantizeProgress& progress) {
  const std::string memory = human_bytes(current_rss_bytes());
  if (progress.loss_rounding == 0) return memory;
  return cat("loss ", fixed(100 * progress.loss_choice, 3), "% (rounding ",
             fixed(100 * progress.loss_rounding, 3), "%) · ", memory);
}

uint64_t bytes_in(const std::string& directory) {
  uint64_t bytes = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    bytes += entry.file_size(ignored);
  }
  return bytes;
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

Status quantize(const CLI::App& verb, QuantizeArguments& options) {
  const Timer timer;
  AWQ_ASSIGN(const OpenCheckpoint source, OpenCheckpoint::open(options.model));
  const Arch& arch = source.reader->arch();
  if (source.reader->quantization()) {
    return bad_input(cat(printable(options.model), ": already quantized to ",
                         format_name(source.reader->quantization()->format),
                         "; quantize the float checkpoint it was made from"));
  }
  if (options.method == "awq") AWQ_TRY(fit_to_context(verb, arch, options.calibration));
  AWQ_ASSIGN(const QuantizeOptions quantize, quantize_options(options, arch));
  const bool calibrated = quantize.method == Method::awq;
  AWQ_ASSIGN(const Backend backend, open_backend(options.backend));
  Device* device = backend.device.get();
  // What f32 costs a GPU is some seconds per billion of parameters.
  const bool tf32 =
      options.math == "tf32" || (options.math == "auto" && parameter_count(arch) > 1'000'000'000);
  const Ops ops = quantization_ops(backend, tf32);

  const int64_t wanted = options.calibration.samples * options.calibration.length;
  QuantizePlan plan =
      plan_quantize(*source.reader, quantize, calibrated ? wanted : 0, device->pool().size());
  if (calibrated) plan_calibration_text(*source.reader, options.calibration, plan);
  AWQ_TRY(check_memory(options, plan));
  if (options.dry_run) return dry_run(options, quantize, plan, ops);
  if (options.out.empty()) return usage_error("-o OUT is required: the directory to write");
  std::vector<std::string> inputs = {options.model};
  if (options.calibration.source != "self") inputs.push_back(options.calibration.source);
  AWQ_ASSIGN(OutputDirectory output,
             OutputDirectory::create(options.out, options.overwrite, inputs));
  AWQ_TRY(source.reader->check_frame_finite(device->pool()));

  std::vector<TokenId> tokens;
  double text_seconds = 0;
  if (calibrated) {
    const Timer text_timer;
    AWQ_ASSIGN(tokens, calibration_tokens(source, options.calibration, ops));
    text_seconds = text_timer.seconds();
  }
  Progress progress("layer", arch.sizes.layers);
  AWQ_ASSIGN(Json report, quantize_model(*source.reader, ops, tokens, quantize, output,
                                         [&](const QuantizeProgress& layer) {
                                           progress.update(layer.layer, layer_note(layer));
                                         }));
  AWQ_TRY(write_vocabulary(*source.checkpoint, *source.vocabulary, output.file("")));

  report["seconds"]["calibration_text"] = text_seconds;
  report["seconds"]["total"] = timer.seconds();
  const uint64_t output_bytes = bytes_in(output.file(""));
  Json result = {{"family", arch.family},
                 {"parameters", parameter_count(arch)},
                 {"options", options_json(options, quantize)},
                 {"calibration_tokens", tokens.size()},
                 {"input_bytes", source.checkpoint->file_bytes()},
                 {"input_fingerprint", source.checkpoint->fingerprint()},
                 {"output_bytes", output_bytes},
                 {"peak_rss_bytes", peak_rss_bytes()},
                 {"backend", ops.name}};
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

void add_quantize(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<QuantizeArguments>();
  CLI::App* verb = app.add_subcommand("quantize", "search AWQ scales and clips, pack, write");
  add_model_argument(*verb, options->model);
  verb->add_option("-o,--output", options->out, "directory to write (must not exist)")
      ->type_name("OUT");
  verb->add_option("--method", options->method, "awq, or rtn: plain rounding to nearest")
      ->check(CLI::IsMember({"awq", "rtn"}))
      ->capture_default_str();
  verb->add_option("--bits", options->bits, "bits of a weight")
      ->check(CLI::IsMember({2, 3, 4, 8}))
      ->capture_default_str();
  verb->add_option("--group", options->group,
                   "inputs that share a scale; auto: 128, 64 or 32; none: the whole row")
      ->check(CLI::IsMember({"auto", "16", "32", "64", "128", "256", "none"}))
      ->capture_default_str();
  verb->add_flag("--sym", options->symmetric, "symmetric: no zero points");
  add_calibration_options(*verb, options->calibration);
  verb->add_flag("--no-clip", options->no_clip, "no clip search");
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
  verb->add_option("--max-ram", options->max_ram, "refuse to use more memory, e.g. 900MB")
      ->type_name("SIZE");
  verb->add_flag("--dry-run", options->dry_run, "predict memory, time and size; write nothing");
  verb->add_flag("--overwrite", options->overwrite,
                 "replace OUT if awq wrote it and nothing else is in it");
  add_backend_options(*verb, options->backend);
  add_json_option(*verb, options->json);
  verb->footer(
      "Examples:\n  awq quantize ./SmolLM2-135M -o ./smollm2-awq\n"
      "  awq quantize ./model.gguf -o ./out --bits 3 --group 64 --calib text.txt");
  verb->callback([options, verb, &outcome] { outcome.status = quantize(*verb, *options); });
}

}  // namespace awq
