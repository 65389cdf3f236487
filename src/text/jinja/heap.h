// What a render may use, counted: steps, bytes of live objects, sizes. Objects are counted by
// reference; those that refer to each other in a circle go when the heap goes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "text/chat_template.h"
#include "text/jinja/failure.h"

namespace awq::jinja {

class Heap;

/// A counted object. Its destructor and clear() may drop the last reference to others: those are
/// queued, not destroyed recursively, so that a chain of any length is safe.
class Object {
 public:
  virtual ~Object() = default;

  void add_reference() { ++references_; }
  void drop_reference();
  bool shared() const { return references_ > 1; }
  Heap& heap() const { return *heap_; }

  /// Counts `bytes` more as part of this object.
  void charge(size_t bytes);

 protected:
  /// Drops every reference to other objects.
  virtual void clear() {}

 private:
  friend class Heap;
  Heap* heap_ = nullptr;
  Object *previous_ = nullptr, *next_ = nullptr;
  size_t charged_ = 0;
  uint32_t references_ = 0;
};

template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) : object_(object) {
    if (object_ != nullptr) object_->add_reference();
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->drop_reference();
  }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

class Heap {
 public:
  explicit Heap(const TemplateLimits& limits) : limits_(limits) {}
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;
  ~Heap();

  const TemplateLimits& limits() const { return limits_; }

  void step(uint64_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.steps) fail_steps();
  }
  /// Work that goes once over `count` bytes. A step is then worth about 0.1 us, like any other.
  void step_bytes(size_t count) { step(1 + count / 16); }

  /// Refuses a string or list of `size` bytes or items before it is made.
  void check_size(uint64_t size) const {
    if (size > limits_.output_bytes) fail_size();
  }
  void charge(size_t bytes) {
    if (bytes > limits_.memory_bytes - live_bytes_) fail_memory();
    live_bytes_ += bytes;
  }

  /// Recursion over values (see Nesting).
  void enter() {
    if (++nesting_ > kMaxNesting) fail_nesting();
  }
  void leave() { --nesting_; }

  template <class T, class... Arguments>
  Ref<T> make(Arguments&&... arguments) {
    // The allocator's own overhead counts too: many tiny objects cost more than their size.
    constexpr size_t kSize = sizeof(T) + 32;
    charge(kSize);
    T* object = nullptr;
    try {
      object = new T(std::forward<Arguments>(arguments)...);
    } catch (...) {
      live_bytes_ -= kSize;
      throw;
    }
    adopt(object, kSize);
    return Ref<T>(object);
  }

 private:
  friend class Object;
  static constexpr int kMaxNesting = 256;
  void adopt(Object* object, size_t bytes);
  void unlink(Object* object);
  void bury(Object* object);
  [[noreturn]] void fail_steps() const;
  [[noreturn]] void fail_size() const;
  [[noreturn]] void fail_memory() const;
  [[noreturn]] void fail_nesting();

  TemplateLimits limits_;
  uint64_t steps_ = 0;
  size_t live_bytes_ = 0;
  Object* live_ = nullptr;
  Object* dead_ = nullptr;
  bool burying_ = false;
  int nesting_ = 0;
};

}  // namespace awq::jinja
