#include "cli/help.h"

#include <algorithm>

#include "base/format.h"

namespace awq {
namespace {

// What stands after an option's name: the choices where there is a set, else a word for its type.
// CLI11 gives "INT:{2,3,4,8}", "INT:INT in [1 - 1024]", "TEXT".
std::string value_name(const CLI::Option& option) {
  std::string type = option.get_type_name();
  const size_t open = type.find('{');
  if (open != std::string::npos) {
    std::string choices = type.substr(open);
    std::replace(choices.begin(), choices.end(), ',', '|');
    return choices;
  }
  type = type.substr(0, type.find(':'));
  if (type == "INT" || type == "UINT") return "N";
  if (type == "FLOAT") return "X";
  return type;
}

}  // namespace

HelpFormatter::HelpFormatter() { column_width(32); }

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  if (option->get_type_size() == 0 || option->get_positional()) return "";
  return " " + value_name(*option);
}

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const {
  std::string text = option->get_description();
  const std::string fallback = option->get_default_str();
  if (!fallback.empty()) text += cat(" (default ", fallback, ")");
  if (option->get_required() && !option->get_positional()) text += " (required)";
  return text;
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string name) const {
  std::string line = cat("Usage: ", name);
  const auto options = app->get_options();  // by value
  const bool positional = std::any_of(options.begin(), options.end(), [](const CLI::Option* option) {
    return option->get_positional();
  });
  if (!positional && !app->get_subcommands(nullptr).empty()) return line + " VERB ...\n";
  for (const CLI::Option* option : options) {
    if (option->get_positional()) {
      line += cat(" ", option->get_required() ? option->get_name()
                                              : cat("[", option->get_name(), "]"));
    }
  }
  return line + " [OPTIONS]\n";
}

}  // namespace awq
