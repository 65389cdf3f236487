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
  const int64_t length = cache.length() + static_cast<int64_t>(tokens.size());
  for (size_t begin = 0; begin < tokens.size(); begin += kChunk) {
    const Feed feed{&cache, tokens.subspan(begin, std::min<size_t>(kChunk, tokens.size() - begin)),
                    length};
    x = forward({&feed, 1});
  }
  return x.slice_rows(x.rows - 1, 1);
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
      first.dtype != planned_cache_.dtype) {
    plan_.reset();
    std::vector<KvView> views;
    for (int64_t layer = 0; layer < model_->arch.sizes.layers; ++layer) {
      views.push_back(cache.view(layer));
    }
    const auto spec = decode_spec(*model_, views, cache.capacity());
    if (spec) plan_ = ops.plan_decode(device(), *spec);
    planned_cache_ = first;
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
  const Feed feed{&cache, {&token, 1}};
  return logits(forward({&feed, 1}));
}

void Engine::greedy(KvCache& cache, int32_t token, std::span<int32_t> ids) {
  if (DecodeStep* step = plan(cache)) {
    const auto count = static_cast<int64_t>(ids.size());
    AWQ_CHECK(cache.length() + count <= cache.capacity(), cache.length(), " + ", count);
    step->greedy(token, cache.length(), ids);
    cache.advance(count);
    return;
  }
  for (int32_t& id : ids) {
    model_->ops.argmax(device(), decode(cache, token), &id);
    token = id;
  }
}

std::span<const float> Engine::on_host(Matrix x) {
  const auto count = static_cast<size_t>(x.rows * x.cols);
  if (device().host_visible()) return {x.data, count};
  host_.resize(count);
  device().download(host_.data(), x.data, count * sizeof(float));
  return host_;
}

}  // namespace awq
