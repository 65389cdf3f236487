// The rules of docs/architecture.md that a program can check: who may include whom, how long a file
// may be, and which names say nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace awq {
namespace {

using Folders = std::vector<std::string>;

// Folder of src/ -> the others it may include. The page has the same table.
const std::map<std::string, Folders>& allowed_includes() {
  static const std::map<std::string, Folders> kTable = [] {
    const Folders tensors = {"base", "tensor"};
    const auto with = [](Folders folders, const Folders& more) {
      folders.insert(folders.end(), more.begin(), more.end());
      return folders;
    };
    const Folders model = with(tensors, {"kernels", "checkpoint"});
    const Folders above_model = with(model, {"model"});
    const Folders session = with(above_model, {"runtime", "text", "image"});
    const Folders above_session = with(session, {"session"});
    const Folders study = with(above_session, {"quant", "eval"});
    return std::map<std::string, Folders>{
        {"base", {}},
        {"tensor", {"base"}},
        {"text", {"base"}},
        {"report", {"base"}},
        {"image", tensors},
        {"kernels", tensors},
        {"checkpoint", tensors},
        {"model", model},
        {"quant", above_model},
        {"runtime", above_model},
        {"session", session},
        {"eval", above_session},
        {"server", above_session},
        {"study", study},
        {"cli", with(study, {"study", "server", "report"})},
    };
  }();
  return kTable;
}

// What is wrong with the file at `path`, relative to src/, one line each.
std::vector<std::string> violations(const std::filesystem::path& path, const std::string& text) {
  std::vector<std::string> found;
  const std::string folder = path.begin()->string();
  const auto allowed = allowed_includes().find(folder);
  if (allowed == allowed_includes().end()) return {"its folder is not in docs/architecture.md"};

  static const std::set<std::string> kEmptyNames = {"util",   "utils", "helper",  "helpers",
                                                    "common", "misc",  "manager", "managers"};
  for (std::filesystem::path part : path) {
    std::istringstream words(part.replace_extension().string());
    for (std::string word; std::getline(words, word, '_');) {
      if (kEmptyNames.count(word) > 0) found.push_back("\"" + word + "\" says nothing as a name");
    }
  }

  std::istringstream lines(text);
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    constexpr std::string_view kInclude = "#include \"";
    if (line.compare(0, kInclude.size(), kInclude) != 0) continue;
    const std::string name = line.substr(kInclude.size());
    const size_t slash = name.find('/');
    const std::string target = name.substr(0, slash == std::string::npos ? 0 : slash);
    if (target == folder) continue;
    const Folders& folders = allowed->second;
    if (std::find(folders.begin(), folders.end(), target) == folders.end()) {
      found.push_back(target.empty() ? "an include in quotes starts with its folder: " + line
                                     : folder + " may not include " + target + ": " + line);
    }
  }
  const bool cuda = path.extension() == ".cu" || path.extension() == ".cuh";
  const size_t limit = cuda ? 800 : 600;
  if (count > limit) {
    found.push_back(std::to_string(count) + " lines, allowed are " + std::to_string(limit));
  }
  return found;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(IncludeDirection, SourcesFollowTheTable) {
  static const std::set<std::string> kSources = {".h", ".cc", ".inc", ".cu", ".cuh"};
  const std::filesystem::path root = std::filesystem::path(AWQ_SOURCE_DIR) / "src";
  size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (!entry.is_regular_file() || kSources.count(entry.path().extension().string()) == 0) {
      continue;
    }
    ++files;
    const auto path = std::filesystem::relative(entry.path(), root);
    for (const std::string& violation : violations(path, read(entry.path()))) {
      ADD_FAILURE() << "src/" << path.string() << ": " << violation;
    }
  }
  EXPECT_GT(files, 50u);
}

TEST(IncludeDirection, ArchitecturePageHasTheSameTable) {
  const std::string page = read(std::filesystem::path(AWQ_SOURCE_DIR) / "docs/architecture.md");
  for (const auto& [folder, others] : allowed_includes()) {
    std::string list;
    for (const std::string& other : others) list += (list.empty() ? "" : ", ") + other;
    const std::string row = "| " + folder + " | " + (list.empty() ? "nothing" : list) + " |\n";
    EXPECT_NE(page.find(row), std::string::npos) << "docs/architecture.md lacks the row " << row;
  }
}

TEST(IncludeDirection, NoticesEachKindOfViolation) {
  const std::string base = "#include <vector>\n#include \"base/check.h\"\n";
  EXPECT_TRUE(violations("kernels/cpu/a.cc", base + "#include \"kernels/ops.h\"\n").empty());
  EXPECT_EQ(violations("kernels/a.cc", base + "#include \"model/arch.h\"\n").size(), 1u);
  EXPECT_EQ(violations("eval/a.cc", "#include \"server/http.h\"\n").size(), 1u);
  EXPECT_EQ(violations("base/a.cc", "#include \"check.h\"\n").size(), 1u);
  EXPECT_EQ(violations("base/string_utils.h", "").size(), 1u);
  EXPECT_EQ(violations("base/misc/a.h", "").size(), 1u);
  EXPECT_EQ(violations("brands/a.h", "").size(), 1u);
  const std::string long_text(601, '\n');
  EXPECT_EQ(violations("base/a.cc", long_text).size(), 1u);
  EXPECT_TRUE(violations("kernels/cuda/a.cu", long_text).empty());
}

}  // namespace
}  // namespace awq
