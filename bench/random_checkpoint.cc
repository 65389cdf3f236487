// Writes a checkpoint of random BF16 weights in a known shape, for what needs one on disk (to time
// quantization alone there is `awq bench quantize`):
//
//   random_checkpoint llama-3-8b TOKENIZER_DIR OUT [LAYERS]
//
// TOKENIZER_DIR: a model whose tokenizer files are copied; its ids must be below the vocabulary.
#include "model/random_checkpoint.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace awq {
namespace {

Status write(const std::string& shape, const std::filesystem::path& tokenizer,
             const std::string& out, int64_t layers) {
  AWQ_ASSIGN(OutputDirectory directory, OutputDirectory::create(out, true));
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    std::error_code absent;
    std::filesystem::copy_file(tokenizer / name, directory.file(name), absent);
  }
  AWQ_TRY(write_random_checkpoint(shape, layers, directory));
  return directory.commit();
}

}  // namespace
}  // namespace awq

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: %s SHAPE TOKENIZER_DIR OUT [LAYERS]\n", argv[0]);
    return 2;
  }
  const awq::Status status =
      awq::write(argv[1], argv[2], argv[3], argc > 4 ? std::atol(argv[4]) : 0);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return 1;
}
