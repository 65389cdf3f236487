// Runs decode steps of a fixed shape for an instruction count: tools/check_instructions.sh counts what
// happens inside of counted(). One thread, the AVX2 table (valgrind knows no AVX-512).
//
//   decode_instructions CASE
#include <cstdio>
#include <string_view>

#include "kernels/cpu.h"
#include "runtime/engine.h"
#include "runtime/shaped_model.h"

using namespace awq;

extern "C" [[gnu::noinline]] void counted(Engine& engine, KvCache& cache) {
  for (int32_t token = 1; token <= 2; ++token) engine.decode(cache, token);
}

int main(int count, char** words) {
  struct Case {
    std::string_view name;
    DecoderShape shape;
    int64_t past;
    DType kv;
  };
  // Sizes: layers, hidden, heads, kv_heads, head_dim, ffn, vocab, context.
  const Case cases[] = {
      {"smol_int4", {"", {1, 576, 9, 3, 64, 1536, 512, 1024}, 64, DType::f16}, 20, DType::f16},
      {"smol_int3", {"", {1, 576, 9, 3, 64, 1536, 512, 1024}, 64, DType::u8, RopePairing::half, 3}, 20,
       DType::f16},
      {"smol_int2", {"", {1, 576, 9, 3, 64, 1536, 512, 1024}, 64, DType::u8, RopePairing::half, 2}, 20,
       DType::f16},
      {"llama_int4_g128", {"", {1, 1024, 16, 2, 64, 2816, 512, 1024}, 128, DType::u8}, 20, DType::f16},
      {"behind_600_f16", {"", {1, 256, 8, 2, 64, 256, 64, 1024}, 128, DType::u8}, 600, DType::f16},
      {"behind_600_int8", {"", {1, 256, 8, 2, 64, 256, 64, 1024}, 128, DType::u8}, 600, DType::i8},
  };
  for (const Case& c : cases) {
    if (count < 2) std::printf("%.*s\n", static_cast<int>(c.name.size()), c.name.data());
    if (count < 2 || c.name != words[1]) continue;
    const auto device = make_cpu_device(1);
    auto ops = make_cpu_ops(*device, "avx2");
    if (!ops.ok()) {
      std::fprintf(stderr, "%s\n", ops.error().message.c_str());
      return 2;
    }
    const Model model = shaped_model(c.shape, *ops);
    Engine engine(model);
    KvCache cache(*device, model.arch, 1024, c.kv);
    if (engine.plan_name(cache).empty()) return 1;
    const std::vector<int32_t> prompt(static_cast<size_t>(c.past), 3);
    engine.prefill(cache, prompt);
    counted(engine, cache);
    return 0;
  }
  return count < 2 ? 0 : 2;
}
