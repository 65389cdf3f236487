// The pages say what the program says.
#include "cli/program_under_test.h"

namespace awq::testing {
namespace {

TEST(Docs, CL08_VerbPagesHoldTheHelpOfThisProgram) {
  const std::filesystem::path folder = std::filesystem::path(AWQ_SOURCE_DIR) / "docs/verbs";
  int pages = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string verb = entry.path().stem();
    const auto page = read_file(entry.path());
    ASSERT_TRUE(page.ok());
    const ProgramResult help = run_awq({verb, "--help"});
    EXPECT_NE(page->find("```help\n" + help.out + "```\n"), std::string::npos)
        << entry.path() << ": run tools/update_verb_docs.sh";
    ++pages;
  }
  const ProgramResult all = run_awq({"--help"});
  const size_t list = all.out.find("Subcommands:\n");
  ASSERT_NE(list, std::string::npos);
  int verbs = 0;
  for (size_t at = all.out.find("\n  ", list); at != std::string::npos && all.out[at + 1] == ' ';
       at = all.out.find('\n', at + 1)) {
    ++verbs;
  }
  EXPECT_EQ(pages, verbs) << "a page for each verb";
}

// Every line of the README that begins with "awq VERB" or "build/bin/awq VERB" names only options
// that the verb has.
TEST(Docs, ReadmeNamesOnlyWhatExists) {
  const auto readme = read_file(path_join(AWQ_SOURCE_DIR, "README.md"));
  ASSERT_TRUE(readme.ok());
  int commands = 0;
  std::istringstream lines(*readme);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string program, verb;
    words >> program >> verb;
    if ((program != "awq" && program != "build/bin/awq") || verb.empty() || verb[0] == '-') continue;
    ++commands;
    const ProgramResult help = run_awq({verb, "--help"});
    EXPECT_EQ(help.exit_code, 0) << line;
    for (std::string word; words >> word && word != "#";) {
      if (word[0] != '-' || word.size() < 2) continue;
      const bool known = help.out.find(word + ",") != std::string::npos ||
                         help.out.find(word + " ") != std::string::npos;
      EXPECT_TRUE(known) << word << " in: " << line;
    }
  }
  EXPECT_GT(commands, 5);
}

}  // namespace
}  // namespace awq::testing
