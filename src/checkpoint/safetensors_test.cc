// Rows ST01 to ST19: what a broken safetensors file says, and what a whole one may hold.
#include "checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <thread>

#include "base/progress.h"
#include "checkpoint/source.h"
#include "checkpoint/test_files.h"

namespace awq {
namespace {

Result<std::vector<TensorInfo>> parse(std::string_view file) {
  return parse_safetensors(as_bytes(file), "f.safetensors");
}

// One F32 tensor "t" with the given fields, and `bytes` of data.
Result<std::vector<TensorInfo>> parse_tensor(std::string_view dtype, std::string_view shape,
                                             std::string_view offsets, size_t bytes) {
  return parse(safetensors_file(
      cat("{\"t\":{\"dtype\":", dtype, ",\"shape\":", shape, ",\"data_offsets\":", offsets, "}}"),
      std::string(bytes, '\0')));
}

std::string entry(std::string_view name, std::string_view dtype, std::string_view shape,
                  uint64_t begin, uint64_t end) {
  return cat("\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":", shape, ",\"data_offsets\":[",
             begin, ",", end, "]}");
}

std::string braces(const std::vector<std::string>& entries) {
  std::string text = "{";
  for (const std::string& e : entries) text += cat(text.size() > 1 ? "," : "", e);
  return text + "}";
}

TEST(Safetensors, ReadsNamesShapesAndBytes) {
  const std::string file =
      safetensors_file(braces({"\"__metadata__\":{\"format\":\"pt\"}",
                               entry("b", "F16", "[3]", 8, 14), entry("a", "F32", "[2,1]", 0, 8)}),
                       "01234567abcdef");
  const auto tensors = parse(file);
  ASSERT_TRUE(tensors.ok()) << tensors.error().message;
  ASSERT_EQ(tensors->size(), 2u);
  EXPECT_EQ((*tensors)[0].name, "a");
  EXPECT_EQ((*tensors)[0].shape.text(), "[2, 1]");
  EXPECT_EQ((*tensors)[0].dtype, DType::f32);
  EXPECT_EQ((*tensors)[1].name, "b");
  EXPECT_EQ(as_text((*tensors)[1].data), "abcdef");
}

TEST(Safetensors, ST01_ShorterThanTheLength) {
  expect_error(parse(""), {"f.safetensors: 0 bytes", "shorter than the 8-byte header"});
  expect_error(parse("1234567"), {"7 bytes", "shorter than the 8-byte header"});
}

TEST(Safetensors, ST02_HeaderLengthBeyondFile) {
  expect_error(parse(le<uint64_t>(UINT64_MAX) + "{}"),
               {"header too large", "18446744073709551615"});
  expect_error(parse(le<uint64_t>(10) + "{}"), {"a header of 10 bytes", "the file has 2 more"});
  expect_error(parse(le<uint64_t>(0) + "{}"), {"header of 0 bytes does not start with '{'"});
}

TEST(Safetensors, ST03_HeaderAboveTheLimit) {
  const TempDirectory directory;
  const std::string path = directory.write("sparse", le<uint64_t>(100'000'001));
  std::filesystem::resize_file(path, 200'000'000);
  const auto file = MappedFile::open(path);
  ASSERT_TRUE(file.ok());
  const std::clock_t start = std::clock();
  expect_error(parse_safetensors(file->bytes(), path), {"header too large", "100000000"});
  EXPECT_LT(std::clock() - start, CLOCKS_PER_SEC / 20) << "the refusal needs no look at the header";
}

TEST(Safetensors, ST04_HeaderText) {
  expect_error(parse(safetensors_file("{\"\xff\":1}")), {"not valid JSON at byte"});
  expect_error(parse(safetensors_file("{nope}")), {"not valid JSON at byte 10 of the file"});
  expect_error(parse(safetensors_file(" {}")), {"byte 8", "does not start with '{'"});
  expect_error(parse(safetensors_file("{}x")), {"not valid JSON"});
  EXPECT_TRUE(parse(safetensors_file("{}      ")).ok());
}

TEST(Safetensors, ST05_DeepNesting) {
  const std::string deep(100'000, '[');
  expect_error(parse(safetensors_file(cat("{\"t\":", deep))),
               {"tensor t: an array, expected an object"});
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  expect_error(parse(safetensors_file(objects)), {"tensor a", "expected dtype, shape or"});
  expect_error(parse(safetensors_file(cat("{\"t\":{\"shape\":", deep))),
               {"tensor t: shape: an array"});
}

TEST(Safetensors, ST06_NamesThereTwice) {
  const std::string one = entry("t", "F32", "[1]", 0, 4);
  expect_error(parse(safetensors_file(braces({one, one}), "0123")), {"tensor t: named twice"});
  expect_error(parse(safetensors_file(R"({"__metadata__":{},"__metadata__":{}})")),
               {"named twice"});
  expect_error(parse(safetensors_file(R"({"__metadata__":{"a":"1","a":"2"}})")),
               {"key a is there twice"});
  expect_error(parse(safetensors_file(R"({"t":{"shape":[],"shape":[]}})")),
               {"key shape is there twice"});
}

TEST(Safetensors, ST07_MetadataThatIsNotText) {
  for (const char* value : {"1", "null", "true", "-1", "1.5", "{}", "[]"}) {
    expect_error(parse(safetensors_file(cat("{\"__metadata__\":{\"k\":", value, "}}"))),
                 {"__metadata__", "expected a string"});
  }
  expect_error(parse(safetensors_file(R"({"__metadata__":"x"})")),
               {"a string, expected an object"});
}

TEST(Safetensors, ST08_Offsets) {
  expect_error(parse_tensor("\"F32\"", "[1]", "[4,0]", 4),
               {"tensor t", "[4, 0] end before they begin"});
  expect_error(parse_tensor("\"F32\"", "[1]", "[-4,0]", 4), {"data_offsets: a negative number"});
  expect_error(parse_tensor("\"F32\"", "[1]", "[0.0,4]", 4), {"data_offsets: a fraction"});
  expect_error(parse_tensor("\"F32\"", "[1]", "[4]", 4), {"found 1 data_offsets"});
  expect_error(parse_tensor("\"F32\"", "[1]", "[0,4,8]", 4), {"more than two entries"});
  expect_error(parse_tensor("\"F32\"", "[1]", "[0,9223372036854775808]", 4), {"needs 4 bytes"});
  expect_error(parse_tensor("\"F32\"", "[1]", "[0,36893488147419103232]", 4), {"a fraction"});
  expect_error(parse_tensor("\"F32\"", "[1]", "\"0,4\"", 4), {"data_offsets: a string"});
  expect_error(parse_tensor("\"F32\"", "[-1]", "[0,4]", 4), {"shape: a negative number"});
  expect_error(parse_tensor("5", "[1]", "[0,4]", 4), {"dtype: a number, expected a string"});
  expect_error(parse(safetensors_file(R"({"t":{"dtype":"F32"}})")), {"expected dtype, shape and"});
  expect_error(parse(safetensors_file(R"({"t":7})")), {"tensor t: a number, expected an object"});
}

TEST(Safetensors, ST09_OverlapHoleAndTail) {
  const auto two = [](uint64_t begin, size_t bytes) {
    return parse(safetensors_file(
        braces({entry("a", "U8", "[4]", 0, 4), entry("b", "U8", "[4]", begin, begin + 4)}),
        std::string(bytes, '\0')));
  };
  EXPECT_TRUE(two(4, 8).ok());
  expect_error(two(3, 7), {"tensor b begins at byte", "an overlap"});
  expect_error(two(5, 9), {"tensor b begins at byte", "a hole"});
  expect_error(two(4, 9), {"the file has 1 more"});
}

TEST(Safetensors, ST10_ManyTensorsOnTheSameBytes) {
  std::string header = "{";
  for (int i = 0; i < 10'000; ++i) {
    header += cat(i == 0 ? "" : ",", entry(cat("t", i), "U8", "[1000]", 0, 1000));
  }
  expect_error(parse(safetensors_file(header + "}", std::string(1000, '\0'))), {"an overlap"});
}

TEST(Safetensors, ST11_ShapesThatOverflow) {
  for (const char* shape :
       {"[4294967296,4294967296]", "[9223372036854775807,3]", "[4611686018427387904,2,0]",
        "[0,4611686018427387904,4]", "[4611686018427387904]"}) {
    expect_error(parse_tensor("\"F64\"", shape, "[0,0]", 0), {"tensor t", "needs more than 2^63"});
  }
  expect_error(parse_tensor("\"U8\"", "[18446744073709551615]", "[0,0]", 0), {"too large"});
  expect_error(parse_tensor("\"U8\"", "[1,1,1,1,1,1,1,1,1]", "[0,1]", 1), {"rank above 8"});
}

TEST(Safetensors, ST12_ShapeAgainstOffsets) {
  expect_error(parse_tensor("\"F32\"", "[3]", "[0,8]", 8), {"[3] of F32 needs 12 bytes", "span 8"});
  expect_error(parse_tensor("\"BF16\"", "[2,2]", "[0,16]", 16), {"needs 8 bytes", "span 16"});
}

TEST(Safetensors, ST13_UnknownTypes) {
  for (const char* type : {"F4", "F6_E2M3", "F8_E8M0", "C64", "f32", "", "F32 "}) {
    expect_error(parse_tensor(cat("\"", type, "\""), "[8]", "[0,8]", 8),
                 {"tensor t", "is not supported; supported: F64, F32"});
  }
}

TEST(Safetensors, ST14_ST15_EmptyTensorsAndScalars) {
  const auto tensors = parse(
      safetensors_file(braces({entry("e1", "F32", "[0,7]", 4, 4), entry("s", "F32", "[]", 0, 4),
                               entry("e2", "I8", "[0]", 4, 4), entry("v", "U8", "[2]", 4, 6),
                               entry("e3", "I8", "[0]", 6, 6)}),
                       std::string(6, 'x')));
  ASSERT_TRUE(tensors.ok()) << tensors.error().message;
  EXPECT_EQ(tensors->size(), 5u);
  for (const TensorInfo& tensor : *tensors) {
    EXPECT_EQ(tensor.data.size(), tensor.name == "s" ? 4u : tensor.name == "v" ? 2u : 0u);
  }
  expect_error(
      parse(safetensors_file(
          braces({entry("e", "F32", "[0]", 2, 2), entry("v", "U8", "[4]", 0, 4)}), "0123")),
      {"tensor e begins"});
}

// A file of so many tensors; sets the processor time and the memory that parsing it took, the latter
// as a multiple of the header.
size_t parse_tensors(int count, double& seconds, double& memory) {
  std::string header = "{";
  for (int i = 0; i < count; ++i) {
    header += cat(i == 0 ? "" : ",", entry(cat("t", i), "U8", "[1]", static_cast<uint64_t>(i),
                                           static_cast<uint64_t>(i) + 1));
  }
  const std::string file =
      safetensors_file(header + "}", std::string(static_cast<size_t>(count), '\0'));
  const uint64_t before = current_rss_bytes();
  const std::clock_t start = std::clock();
  const auto tensors = parse(file);
  seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  memory = static_cast<double>(peak_rss_bytes() - before) / static_cast<double>(header.size());
  EXPECT_TRUE(tensors.ok()) << tensors.error().message;
  return tensors.ok() ? tensors->size() : 0;
}

// Sixteen times the tensors take about sixteen times as long; a quadratic reader would take 256 times.
TEST(Safetensors, ST16_AMillionTinyTensors) {
  double few = 0, many = 0, memory = 0;
  EXPECT_EQ(parse_tensors(62'500, few, memory), 62'500u);
  EXPECT_EQ(parse_tensors(1'000'000, many, memory), 1'000'000u);
  EXPECT_LT(many, 100 * std::max(few, 0.01));
  if (!AWQ_SLOW_BUILD) {
    EXPECT_LT(memory, 10);
  }
}

TEST(Safetensors, ST18_TruncatedWhileMapped) {
  const TempDirectory directory;
  const std::string path = directory.write(
      "model.safetensors", safetensors_file(braces({entry("t", "F32", "[262144]", 0, 1 << 20)}),
                                            std::string(1 << 20, 'x')));
  directory.write("config.json", "{}");
  const auto checkpoint = Checkpoint::open(directory.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  const TensorInfo& tensor = checkpoint->tensors().front();
  std::vector<float> values(1 << 18);
  ASSERT_TRUE(checkpoint->read_rows(tensor, 0, 1, values.data()).ok());
  std::filesystem::resize_file(path, 5000);
  expect_error(checkpoint->read_rows(tensor, 0, 1, values.data()), {path, "had ", "has 5000 now"});
  EXPECT_EQ(checkpoint->fingerprint(), "changed");
  expect_error(checkpoint->check_unchanged(), {path});
}

TEST(Safetensors, ST18_ShrunkWhileThreadsRead) {
  const TempDirectory directory;
  const std::string path = directory.write("big", std::string(4 << 20, 'x'));
  const auto file = MappedFile::open(path);
  ASSERT_TRUE(file.ok());
  std::filesystem::resize_file(path, 100);
  std::array<size_t, 4> sums = {};
  std::vector<std::thread> threads;
  for (size_t& sum : sums) {
    threads.emplace_back([&sum, &file] {
      for (const std::byte byte : file->bytes()) sum += static_cast<size_t>(byte);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const size_t sum : sums) EXPECT_EQ(sum, size_t{100} * 'x');  // zeros, where a fault was
  EXPECT_FALSE(file->check_unchanged().ok());
}

TEST(Safetensors, ST19_NamesAreOpaque) {
  const std::string longest(100'000, 'n');
  for (const std::string& name : {std::string("../../etc/passwd"), std::string("a\\u0000b"),
                                  std::string("\\u001b[31mred"), longest}) {
    const auto tensors = parse(safetensors_file(braces({entry(name, "U8", "[1]", 0, 1)}), "x"));
    ASSERT_TRUE(tensors.ok()) << tensors.error().message;
    const auto broken = parse(safetensors_file(braces({entry(name, "U8", "[1]", 0, 2)}), "xy"));
    expect_error(broken, {"needs 1 bytes"});
    EXPECT_LT(broken.error().message.size(), 500u);
    EXPECT_EQ(broken.error().message.find('\x1b'), std::string::npos);
    EXPECT_EQ(broken.error().message.find('\0'), std::string::npos);
  }
}

TEST(Safetensors, DataAtAnyAlignmentIsDecoded) {
  const float values[] = {1.5f, -2.25f};
  std::string header = braces({entry("t", "F32", "[2]", 0, 8)});
  while (header.size() % 8 != 3) header += ' ';
  const auto checkpoint = Checkpoint::from_safetensors(
      "{}", as_bytes(safetensors_file(header, le(values[0]) + le(values[1]))), "memory");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  float out[2] = {};
  ASSERT_TRUE(checkpoint->read_rows(checkpoint->tensors().front(), 0, 1, out).ok());
  EXPECT_EQ(out[0], values[0]);
  EXPECT_EQ(out[1], values[1]);
}

}  // namespace
}  // namespace awq
