#include "runtime/engine.h"

#include <algorithm>

#include "model/decode_spec.h"

namespace awq {

Matrix Engine::forward(std::span<const Feed> feeds) {
  ids_.clear();
  positions_.clear();
  segments_.clear();
  lengths_.clear();
  for (const Feed& feed : feeds) {
    const auto count = static_cast<int64_t>(feed.tokens.size());
    const int64_t past = feed.cache->length();
    AWQ_CHECK(past + count <= feed.cache->capacity(), past, " + ", count);
    segments_.push_back({static_cast<int64_t>(ids_.size()), count, past, {}});
    lengths_.push_back(std::max(feed.length, past + count));
    ids_.insert(ids_.end(), feed.tokens.begin(), feed.tokens.end());
    for (int64_t i = 0; i < count; ++i) positions_.push_back(static_cast<int32_t>(past + i));
  }
  const auto rows = static_cast<int64_t>(ids_.size());
  const int64_t hidden = model_->arch.sizes.hidden;
  hidden_.reserve(device(), static_cast<size_t>(rows * hidden) * sizeof(float));
  const Matrix x(hidden_.as<float>(), rows, hidden);
  embed_tokens(*model_, ids_, positions_, x, workspace_);
  for (int64_t layer = 0; layer < model_->arch.sizes.layers; ++layer) {
    for (size_t i = 0; i < feeds.size(); ++i) segments_[i].kv = feeds[i].cache->view(layer);
    forward_block(*model_, model_->blocks[static_cast<size_t>(layer)], layer, x,
                  {positions_, segments_, lengths_}, workspace_);
  }
  for (const Feed& feed : feeds) feed.cache->advance(static_cast<int64_t>(feed.tokens.size()));
  return x;
}

Matrix Engine::prefill(KvCache& cache, std::span<const int32_t> tokens) {
  AWQ_CHECK(!tokens.empty());
  Matrix x;
  const auto count = static_cast<int64_t>(tokens.size());
  const int64_t length = cache.length() + count, chunk = prompt_chunk(cache, count);
  BatchStep* const plan = batch_plan(cache);
  for (int64_t begin = 0; begin < count; begin += chunk) {
    const auto part = tokens.subspan(static_cast<size_t>(begin),
                                     static_cast<size_t>(std::min(chunk, count - begin)));
    if (plan != nullptr) {
      const auto rows = static_cast<int64_t>(part.size());
      AWQ_CHECK(cache.length() + rows <= cache.capacity(), cache.length(), " + ", rows);
      const KvCache* const one = &cache;
      x = plan->prompt(part, cache.length(), views({&one, 1}));
      cache.advance(rows);
    } else {
      const Feed feed{&cache, part, length};
      x = forward({&feed, 1});
    }
  }
  return x.slice_rows(x.rows - 1, 1);
}

int64_t Engine::pass_rows() const {
  if (device().host_visible()) return kChunk;
  const Arch& arch = model_->arch;
  const uint64_t bytes = Workspace::bytes(arch, kPlannedChunk) +
                         static_cast<uint64_t>(kPlannedChunk * arch.sizes.hidden) * sizeof(float);
  return device().available() / 8 < bytes ? kChunk : kPlannedChunk;
}

int64_t Engine::prompt_chunk(const KvCache& cache, int64_t tokens) {
  const BatchStep* const plan = batch_plan(cache);
  return plan == nullptr ? pass_rows() : plan->prompt_rows(std::min(tokens, kPlannedChunk));
}

BatchStep* Engine::batch_plan(const KvCache& cache) {
  const Ops& ops = model_->ops;
  if (!batch_planned_ && ops.plan_batch != nullptr) {
    const std::vector<KvView> none(static_cast<size_t>(model_->arch.sizes.layers));
    const auto spec = decode_spec(*model_, none, 0);
    if (spec) batch_plan_ = ops.plan_batch(device(), *spec);
  }
  batch_planned_ = true;
  return batch_plan_ != nullptr && batch_plan_->takes(cache.view(0)) ? batch_plan_.get() : nullptr;
}

std::span<const KvView> Engine::views(std::span<const KvCache* const> caches) {
  views_.clear();
  for (int64_t layer = 0; layer < model_->arch.sizes.layers; ++layer) {
    for (const KvCache* cache : caches) views_.push_back(cache->view(layer));
  }
  return views_;
}

Matrix Engine::decode(std::span<KvCache* const> caches, std::span<const int32_t> tokens) {
  AWQ_CHECK(!caches.empty() && caches.size() == tokens.size(), caches.size(), tokens.size());
  BatchStep* const plan = batch_plan(*caches.front());
  if (plan == nullptr) {
    std::vector<Feed> feeds;
    for (size_t i = 0; i < caches.size(); ++i) feeds.push_back({caches[i], tokens.subspan(i, 1)});
    return logits(forward(feeds));
  }
  past_.clear();
  for (KvCache* cache : caches) {
    AWQ_CHECK(cache->length() < cache->capacity(), cache->length());
    past_.push_back(cache->length());
    cache->advance(1);
  }
  return plan->step(tokens, past_, views(std::vector<const KvCache*>(caches.begin(), caches.end())));
}

void Engine::greedy(std::span<KvCache* const> caches, std::span<const int32_t> tokens,
                    std::span<int32_t> ids) {
  AWQ_CHECK(!caches.empty() && caches.size() == tokens.size() && ids.size() % tokens.size() == 0,
            caches.size(), ids.size());
  const size_t steps = ids.size() / tokens.size();
  if (BatchStep* const plan = batch_plan(*caches.front())) {
    past_.clear();
    for (KvCache* cache : caches) {
      AWQ_CHECK(cache->length() + static_cast<int64_t>(steps) <= cache->capacity(),
                cache->length(), " + ", steps);
      past_.push_back(cache->length());
      cache->advance(static_cast<int64_t>(steps));
    }
    return plan->greedy(tokens, past_,
                        views(std::vector<const KvCache*>(caches.begin(), caches.end())), ids);
  }
  for (size_t step = 0; step < steps; ++step) {
    const auto to = ids.subspan(step * tokens.size(), tokens.size());
    model_->ops.argmax(device(), decode(caches, tokens), to.data());
    tokens = to;
  }
}

Matrix Engine::logits(Matrix hidden) {
  const Sizes& sizes = model_->arch.sizes;
  logits_.reserve(device(), static_cast<size_t>(hidden.rows * sizes.vocab) * sizeof(float));
  const Matrix out(logits_.as<float>(), hidden.rows, sizes.vocab);
  forward_head(*model_, hidden, out, workspace_);
  return out;
}

DecodeStep* Engine::plan(const KvCache& cache) {
  const Ops& ops = model_->ops;
  if (ops.plan_decode == nullptr) return nullptr;
  const KvView first = cache.view(0);
  if (first.k != planned_cache_.k || first.head_stride != planned_cache_.head_stride ||
      first.dtype != planned_cache_.dtype || cache.capacity() != planned_capacity_) {
    plan_.reset();
    std::vector<KvView> views;
    for (int64_t layer = 0; layer < model_->arch.sizes.layers; ++layer) {
      views.push_back(cache.view(layer));
    }
    const auto spec = decode_spec(*model_, views, cache.capacity());
    if (spec) plan_ = ops.plan_decode(device(), *spec);
    planned_cache_ = first;
    planned_capacity_ = cache.capacity();
  }
  return plan_.get();
}

Matrix Engine::decode(KvCache& cache, int32_t token) {
  if (DecodeStep* step = plan(cache)) {
    AWQ_CHECK(cache.length() < cache.capacity(), cache.length());
    const Matrix out = step->step(token, cache.length());
    cache.advance(1);
    return out;
  }
  if (batch_plan(cache) != nullptr) {
    KvCache* const one = &cache;
    return decode(std::span(&one, 1), {&token, 1});
  }
  const Feed feed{&cache, {&token, 1}};
  return logits(forward({&feed, 1}));
}

Matrix Engine::decode(std::span<KvCache* const> caches, const TokenDraws& draws) {
  KvCache& front = *caches.front();
  DecodeStep* const step = caches.size() == 1 ? plan(front) : nullptr;
  if (step != nullptr) {
    AWQ_CHECK(front.length() < front.capacity(), front.length());
    const Matrix out = step->step_from(draws.tokens(), front.length());
    front.advance(1);
    return out;
  }
  if (BatchStep* const batch = batch_plan(front)) {
    past_.clear();
    for (KvCache* cache : caches) {
      AWQ_CHECK(cache->length() < cache->capacity(), cache->length());
      past_.push_back(cache->length());
      cache->advance(1);
    }
    return batch->step_from(draws.tokens(), past_,
                            views(std::vector<const KvCache*>(caches.begin(), caches.end())));
  }
  std::vector<int32_t> tokens(caches.size());
  device().download(tokens.data(), draws.tokens(), tokens.size() * sizeof(int32_t));
  return decode(caches, tokens);
}

void Engine::greedy(KvCache& cache, int32_t token, std::span<int32_t> ids) {
  if (DecodeStep* step = plan(cache)) {
    const auto count = static_cast<int64_t>(ids.size());
    AWQ_CHECK(cache.length() + count <= cache.capacity(), cache.length(), " + ", count);
    step->greedy(token, cache.length(), ids);
    cache.advance(count);
    return;
  }
  if (batch_plan(cache) != nullptr) {
    KvCache* const one = &cache;
    return greedy(std::span(&one, 1), {&token, 1}, ids);
  }
  for (int32_t& id : ids) {
    model_->ops.argmax(device(), decode(cache, token), &id);
    token = id;
  }
}

std::vector<PartTime> Engine::profile(std::span<KvCache* const> caches,
                                      std::span<const int32_t> tokens) {
  BatchStep* const plan = batch_plan(*caches.front());
  if (plan == nullptr) return {};
  past_.clear();
  for (const KvCache* cache : caches) {
    AWQ_CHECK(cache->length() < cache->capacity(), cache->length());
    past_.push_back(cache->length());
  }
  return plan->profile_step(
      tokens, past_, views(std::vector<const KvCache*>(caches.begin(), caches.end())));
}

std::vector<PartTime> Engine::profile_prompt(const KvCache& cache,
                                             std::span<const int32_t> tokens) {
  BatchStep* const plan = batch_plan(cache);
  if (plan == nullptr) return {};
  const KvCache* const one = &cache;
  return plan->profile_prompt(tokens, cache.length(), views({&one, 1}));
}

std::span<const float> Engine::on_host(Matrix x) {
  const auto count = static_cast<size_t>(x.rows * x.cols);
  if (device().host_visible()) return {x.data, count};
  host_.resize(count);
  device().download(host_.data(), x.data, count * sizeof(float));
  return host_;
}

}  // namespace awq
