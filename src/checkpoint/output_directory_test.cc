// Output that appears whole or not at all.
#include <sys/wait.h>

#include "checkpoint/source.h"
#include "checkpoint/test_files.h"
#include "checkpoint/writer.h"

namespace awq {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class OutputTest : public ::testing::Test {
 protected:
  OutputTest() : target_(directory_.file("out")) {}

  // Writes a model whose config says `text`, without committing.
  Result<OutputDirectory> begin(const std::string& text, bool overwrite = false) {
    AWQ_ASSIGN(OutputDirectory output, OutputDirectory::create(target_, overwrite));
    AWQ_TRY(write_file(output.file("config.json"), text));
    AWQ_TRY(write_file(output.file("quantization_report.json"), "{}"));
    return output;
  }
  std::string config() const { return *read_file(path_join(target_, "config.json")); }

  TempDirectory directory_;
  std::string target_;
};

using Output = OutputTest;

TEST_F(Output, AppearsAtCommit) {
  auto output = begin("{}");
  ASSERT_TRUE(output.ok()) << output.error().message;
  EXPECT_FALSE(directory_exists(target_));
  ASSERT_TRUE(output->commit().ok());
  EXPECT_EQ(names_in(directory_.path()), std::vector<std::string>{"out"});
  EXPECT_EQ(names_in(target_), (std::vector<std::string>{"config.json", "quantization_report.json"}));
}

TEST_F(Output, DisappearsWithoutCommit) {
  { const auto output = begin("{}"); }
  EXPECT_TRUE(names_in(directory_.path()).empty());
}

TEST_F(Output, ReplacesModelsOnlyWhenAsked) {
  ASSERT_TRUE(begin("1")->commit().ok());
  expect_error(begin("2"), {"out: exists", "--overwrite"}, ErrorKind::usage);
  EXPECT_EQ(config(), "1");
  { const auto output = begin("2", true); }  // not committed: the old one stays
  EXPECT_EQ(config(), "1");
  ASSERT_TRUE(begin("2", true)->commit().ok());
  EXPECT_EQ(config(), "2");
  EXPECT_EQ(names_in(directory_.path()), std::vector<std::string>{"out"});
}

TEST_F(Output, RefusesWhatIsNotAModel) {
  directory_.write("out", "a file");
  expect_error(begin("{}", true), {"exists and is not a directory"}, ErrorKind::usage);
  fs::remove(target_);
  fs::create_directory(target_);
  ASSERT_TRUE(write_file(path_join(target_, "thesis.tex"), "x").ok());
  expect_error(begin("{}", true), {"not written by awq"}, ErrorKind::usage);
  fs::remove_all(target_);
  fs::create_directory_symlink(directory_.path(), target_);
  expect_error(begin("{}", true), {"exists and is not a directory"}, ErrorKind::usage);
  expect_error(OutputDirectory::create(directory_.file("no/such/out"), false),
               {"cannot create", "No such file"}, ErrorKind::usage);
  expect_error(OutputDirectory::create("", false), {"needs a name"}, ErrorKind::usage);
}

TEST_F(Output, NeverReplacesAnInput) {
  ASSERT_TRUE(begin("{}")->commit().ok());
  const std::string link = directory_.file("link");
  fs::create_directory_symlink(target_, link);
  for (const std::string& input :
       {target_, target_ + "/", link, path_join(target_, "config.json")}) {
    expect_error(OutputDirectory::create(target_, true, {"elsewhere", input}),
                 {"is or contains the input"}, ErrorKind::usage);
  }
  expect_error(OutputDirectory::create(directory_.path(), true, {target_}),
               {"is or contains the input"}, ErrorKind::usage);
  EXPECT_TRUE(OutputDirectory::create(directory_.file("other"), false, {target_}).ok());
}

TEST_F(Output, OneWriterAtATime) {
  const auto first = begin("{}");
  ASSERT_TRUE(first.ok());
  expect_error(begin("{}"), {"locked by another process"}, ErrorKind::usage);
  EXPECT_TRUE(file_exists(first->file("config.json")));  // untouched by the refused one
}

TEST_F(Output, WhatAKilledRunLeftIsRemoved) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto output = begin("half");
    ::_exit(output.ok() ? 0 : 1);  // no destructor runs
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_TRUE(file_exists(path_join(target_ + ".partial", "config.json")));
  auto output = OutputDirectory::create(target_, false);
  ASSERT_TRUE(output.ok()) << output.error().message;
  EXPECT_FALSE(file_exists(output->file("config.json")));
  ASSERT_TRUE(output->commit().ok());
  EXPECT_TRUE(names_in(target_).empty());
}

TEST_F(Output, AForeignPartialDirectoryIsLeftAlone) {
  fs::create_directory(target_ + ".partial");
  directory_.write("out.partial/photos.zip", "x");
  expect_error(begin("{}"), {"was not made by awq"}, ErrorKind::usage);
  EXPECT_TRUE(file_exists(directory_.file("out.partial/photos.zip")));
}

TEST_F(Output, WritesShardsThatReadBack) {
  auto output = begin("{}");
  ASSERT_TRUE(output.ok());
  const std::vector<TensorDeclaration> tensors = {{"a", DType::f16, {3}},
                                                  {"b", DType::i32, {2, 2}},
                                                  {"c", DType::f32, {5}},
                                                  {"empty", DType::f32, {0, 4}}};
  auto writer = SafetensorsWriter::create(*output, tensors, 22);  // a and b, then c and the rest
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  const std::string bytes = "0123456789abcdefghij";
  ASSERT_TRUE(writer->write("c", bytes.data(), 20).ok());
  ASSERT_TRUE(writer->write("a", bytes.data(), 6).ok());
  ASSERT_TRUE(writer->write("empty", nullptr, 0).ok());
  ASSERT_TRUE(writer->write("b", bytes.data(), 16).ok());
  ASSERT_TRUE(writer->finish().ok());
  ASSERT_TRUE(output->commit().ok());
  EXPECT_EQ(names_in(target_),
            (std::vector<std::string>{"config.json", "model-00001-of-00002.safetensors",
                                      "model-00002-of-00002.safetensors",
                                      "model.safetensors.index.json", "quantization_report.json"}));
  const auto checkpoint = Checkpoint::open(target_);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  EXPECT_TRUE(checkpoint->warnings().empty());
  EXPECT_EQ(as_text(checkpoint->find("a")->data), bytes.substr(0, 6));
  EXPECT_EQ(as_text(checkpoint->find("b")->data), bytes.substr(0, 16));
  EXPECT_EQ(as_text(checkpoint->find("c")->data), bytes);
  EXPECT_EQ(checkpoint->find("empty")->shape.text(), "[0, 4]");
  for (const TensorInfo& tensor : checkpoint->tensors()) {  // wide types first: all are aligned
    if (tensor.data.empty()) continue;
    EXPECT_EQ(
        reinterpret_cast<uintptr_t>(tensor.data.data()) % dtype_info(tensor.dtype).block_bytes, 0u)
        << tensor.name;
  }
}

// vLLM and transformers look for this.
TEST_F(Output, SaysWhichFrameworkWroteIt) {
  auto output = begin("{}");
  auto writer = SafetensorsWriter::create(*output, {{"a", DType::u8, {1}}});
  ASSERT_TRUE(writer->write("a", "x", 1).ok());
  ASSERT_TRUE(writer->finish().ok());
  const std::string file = *read_file(output->file("model.safetensors"));
  EXPECT_EQ(load_le<uint64_t>(file.data()) % 8, 0u);
  EXPECT_EQ(file.substr(8, 35), "{\"__metadata__\":{\"format\":\"pt\"},\"a\"");
}

TEST_F(Output, AFullDiskIsAResourceError) {
  auto output = begin("{}");
  ASSERT_TRUE(output.ok());
  expect_error(SafetensorsWriter::create(*output, {{"a", DType::f32, {int64_t{1} << 44}}}),
               {"model.safetensors", "cannot write", "free some space"}, ErrorKind::resources);
}

}  // namespace
}  // namespace awq
