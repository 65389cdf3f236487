#include "runtime/corpus.h"

#include <algorithm>

#include "runtime/generate.h"

namespace awq {
namespace {

constexpr int64_t kTopK = 128;  // bounds the cost of a draw; top_p cuts before it almost always

struct Document {
  KvCache cache;
  RandomDraws random;  // each has its own
  std::vector<int32_t> ids;
};

// One token for every document from logits [documents, vocab].
Status draw(Matrix logits, std::vector<Document>& documents, TokenDraws& draws) {
  std::vector<uint64_t> randoms;
  for (Document& document : documents) randoms.push_back(document.random.next());
  draws.draw(logits, randoms);
  const std::span<const Drawn> drawn = draws.take();
  for (size_t i = 0; i < documents.size(); ++i) {
    AWQ_ASSIGN(const int32_t id, token_of(drawn[i]));
    documents[i].ids.push_back(id);
  }
  return {};
}

}  // namespace

uint64_t corpus_bytes(const Arch& arch, const CorpusOptions& options) {
  const int64_t per_document =
      arch.sizes.layers * 2 * arch.sizes.kv_heads * arch.sizes.head_dim * options.document * 2;
  return static_cast<uint64_t>(per_document * options.parallel +
                               options.parallel * arch.sizes.vocab * 4);
}

Result<std::vector<int32_t>> sample_corpus(Engine& engine, int32_t start,
                                           const std::vector<int32_t>& stop_ids,
                                           const CorpusOptions& options,
                                           const std::function<void(int64_t)>& on_tokens) {
  AWQ_TRY(check_ids(engine.model(), {&start, 1}));
  uint64_t next_seed = options.seed * 1'000'003;
  const auto random = [&] { return RandomDraws(next_seed++); };
  std::vector<Document> documents;
  const int64_t parallel = std::min(options.parallel, (options.tokens + 31) / 32);
  for (int64_t i = 0; i < parallel; ++i) {
    documents.push_back({KvCache(engine.device(), engine.model().arch, options.document,
                                 DType::f16), random(), {start}});
  }
  std::vector<int32_t> corpus;
  corpus.reserve(static_cast<size_t>(options.tokens));
  std::vector<KvCache*> caches;
  for (Document& document : documents) caches.push_back(&document.cache);
  std::vector<int32_t> last(documents.size());
  const std::vector<std::span<const int32_t>> none(documents.size());
  const auto draws = engine.model().ops.plan_draws(
      engine.device(), {options.temperature, kTopK, options.top_p, 0, 1, 0, 0},
      engine.model().arch.sizes.vocab, none);
  int64_t sampled = 0;
  while (static_cast<int64_t>(corpus.size()) < options.tokens) {
    for (size_t i = 0; i < documents.size(); ++i) last[i] = documents[i].ids.back();
    const Matrix logits = engine.decode(caches, last);
    AWQ_TRY(draw(logits, documents, *draws));
    sampled += static_cast<int64_t>(documents.size());
    for (Document& document : documents) {
      const int32_t id = document.ids.back();
      const bool stopped = std::find(stop_ids.begin(), stop_ids.end(), id) != stop_ids.end();
      if (!stopped && static_cast<int64_t>(document.ids.size()) < options.document) continue;
      corpus.insert(corpus.end(), document.ids.begin(), document.ids.end());
      document.cache.truncate(0);
      document.random = random();
      document.ids = {start};
    }
    if (on_tokens) on_tokens(std::min(sampled, options.tokens));
    // Documents are many and short; what is still open when enough was sampled is taken as it is.
    if (sampled >= options.tokens + parallel) {
      for (Document& document : documents) {
        corpus.insert(corpus.end(), document.ids.begin(), document.ids.end());
        document.cache.truncate(0);
        document.ids = {start};
      }
    }
  }
  corpus.resize(static_cast<size_t>(options.tokens));
  return corpus;
}

}  // namespace awq
