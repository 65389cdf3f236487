#include "text/jinja/heap.h"

#include <vector>

namespace awq::jinja {

void Object::drop_reference() {
  if (--references_ == 0) heap_->bury(this);
}

void Object::charge(size_t bytes) {
  heap_->charge(bytes);
  charged_ += bytes;
}

Heap::~Heap() {
  // What is left refers to itself in circles. Hold everything, cut all links, let go.
  for (Object* object = live_; object != nullptr; object = object->next_) object->add_reference();
  for (Object* object = live_; object != nullptr; object = object->next_) object->clear();
  while (live_ != nullptr) live_->drop_reference();
}

void Heap::adopt(Object* object, size_t bytes) {
  object->heap_ = this;
  object->charged_ = bytes;
  object->next_ = live_;
  if (live_ != nullptr) live_->previous_ = object;
  live_ = object;
}

void Heap::unlink(Object* object) {
  if (object->previous_ != nullptr) object->previous_->next_ = object->next_;
  if (object->next_ != nullptr) object->next_->previous_ = object->previous_;
  if (live_ == object) live_ = object->next_;
}

void Heap::bury(Object* object) {
  unlink(object);
  object->next_ = dead_;
  dead_ = object;
  if (burying_) return;
  burying_ = true;
  while (dead_ != nullptr) {
    Object* next = dead_;
    dead_ = next->next_;
    live_bytes_ -= next->charged_;
    delete next;
  }
  burying_ = false;
}

void Heap::fail_steps() const { fail("step budget of ", limits_.steps, " steps is used up"); }

void Heap::fail_size() const {
  fail("output/memory budget: a string or list would exceed ", limits_.output_bytes,
       " bytes or items");
}

void Heap::fail_memory() const {
  fail("output/memory budget: values would exceed ", limits_.memory_bytes, " bytes");
}

void Heap::fail_nesting() {
  --nesting_;  // the guard whose constructor fails is not destroyed
  fail("values are nested deeper than ", kMaxNesting, " levels");
}

}  // namespace awq::jinja
