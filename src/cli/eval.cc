// awq eval: zero-shot tasks by log-likelihood.
#include "base/file.h"
#include "base/progress.h"
#include "cli/evaluate.h"
#include "eval/choice_tasks.h"
#include "report/table.h"

namespace awq {
namespace {

struct EvalArguments {
  ModelOptions model;
  std::string tasks;
  int64_t limit = 0, shots = 0;
};

constexpr std::pair<std::string_view, const char*> kTasks[] = {
    {"hellaswag", "hellaswag_val_full.txt"}, {"piqa", "piqa.jsonl"},
    {"arc_easy", "arc_easy.jsonl"},          {"arc_challenge", "arc_challenge.jsonl"},
    {"winogrande", "winogrande.jsonl"},      {"boolq", "boolq.jsonl"},
    {"lambada", "lambada_openai.jsonl"},
};

std::string task_names() {
  std::string names;
  for (const auto& [name, file] : kTasks) append_item(names, name);
  return names;
}

// A known task in AWQ_DATA/tasks, or a file of one's own.
Result<std::string> task_file(const std::string& name) {
  for (const auto& [known, file] : kTasks) {
    if (known != name) continue;
    if (const std::string path = data_file(cat("tasks/", file)); !path.empty()) return path;
    return usage_error(cat("--tasks ", name, ": set AWQ_DATA to a folder with tasks/", file,
                           ", or give a file of your own"));
  }
  if (file_exists(name)) return name;
  return usage_error(cat("--tasks ", printable(name, 80), ": neither a file nor one of ", task_names()));
}

Result<Json> run_task(Session& session, const std::string& name, int64_t limit, int64_t shots) {
  AWQ_ASSIGN(const std::string path, task_file(name));
  AWQ_ASSIGN(const std::string text, read_file(path));
  AWQ_ASSIGN(std::vector<ChoiceItem> items, parse_choice_items(text, printable(path)));
  AWQ_TRY(add_shots(items, shots));
  if (limit > 0 && items.size() > static_cast<size_t>(limit)) items.resize(static_cast<size_t>(limit));
  Progress progress(name, static_cast<int64_t>(items.size()));
  AWQ_ASSIGN(const ChoiceResult result,
             measure_choices(session.engine(), session.tokenizer(), items,
                             [&](int64_t done, double accuracy) {
                               progress.update(done, cat("acc ", fixed(100 * accuracy, 1), "%"));
                             }));
  Json json = {{"task", name},
               {"items", result.items},
               {"shots", shots},
               {"acc", result.accuracy},
               {"acc_stderr", result.accuracy_stderr}};
  if (result.last_word) {
    json["ppl"] = result.perplexity;
  } else {
    json["acc_norm"] = result.normalized;
    json["acc_norm_stderr"] = result.normalized_stderr;
  }
  json["chosen"] = result.chosen;
  return json;
}

std::string percent(const Json& row, const char* key, const char* error) {
  if (!row.contains(key)) return "–";
  return cat(fixed(100 * row[key].get<double>(), 1), " ± ", fixed(100 * row[error].get<double>(), 1));
}

Status eval(const EvalArguments& options) {
  std::vector<std::string> names;
  for (std::string_view rest = options.tasks; !rest.empty();) {
    const size_t comma = rest.find(',');
    names.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    AWQ_TRY(task_file(names.back()));  // before the model is loaded
  }
  if (names.empty()) return usage_error(cat("--tasks: give some of ", task_names()));
  AWQ_ASSIGN(Session session, Session::open(options.model.model, options.model.backend));
  Json rows = Json::array();
  for (const std::string& name : names) {
    AWQ_ASSIGN(Json row, run_task(session, name, options.limit, options.shots));
    rows.push_back(std::move(row));
  }
  if (options.model.json) return print_json(rows);
  Table table({{"task", Table::Align::left}, {"items"}, {"acc %"}, {"acc_norm %"}, {"ppl"}});
  for (const Json& row : rows) {
    table.add_row({row["task"].get<std::string>(), cat(row["items"].get<int64_t>()),
                   percent(row, "acc", "acc_stderr"), percent(row, "acc_norm", "acc_norm_stderr"),
                   row.contains("ppl") ? fixed(row["ppl"].get<double>(), 2) : std::string("–")});
  }
  return print(table.markdown());
}

}  // namespace

void add_eval(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<EvalArguments>();
  CLI::App* verb = app.add_subcommand("eval", "zero-shot accuracy on multiple-choice tasks");
  add_model_options(*verb, options->model);
  verb->add_option("--tasks", options->tasks, cat(task_names(), ", or files of your own"))
      ->required()
      ->type_name("NAMES");
  verb->add_option("--limit", options->limit, "the first N items of each task only")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  verb->add_option("--shots", options->shots, "solved examples before each item: the last K of the task")
      ->check(CLI::Range(int64_t{0}, int64_t{64}))
      ->type_name("K")
      ->capture_default_str();
  verb->footer("Example:\n  awq eval ./smollm2-awq --tasks arc_easy,piqa,mine.jsonl --limit 200");
  verb->callback([options, &outcome] { outcome.status = eval(*options); });
}

}  // namespace awq
