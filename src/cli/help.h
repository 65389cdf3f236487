// How help looks: "--bits {2|3|4|8}   bits of a weight (default 4)".
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace awq {

class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter();
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
  std::string make_usage(const CLI::App* app, std::string name) const override;
};

}  // namespace awq
