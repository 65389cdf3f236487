// One line per family; each is in the file of its name.
#pragma once

#include "model/family.h"

namespace awq {

Family llama_family();
Family mistral_family();
Family qwen2_family();
Family qwen3_family();
Family gemma_family();
Family gemma2_family();
Family gemma3_family();
Family phi3_family();
Family opt_family();
Family mpt_family();
Family falcon_two_norms_family();
Family falcon_one_kv_head_family();
Family falcon_heads_family();
Family gpt_neox_family();
Family bloom_family();
Family gpt2_family();
Family gpt_bigcode_heads_family();
Family gpt_bigcode_family();
Family starcoder2_family();
Family stablelm_family();
Family olmo2_family();
Family granite_family();
Family cohere_family();
Family smollm3_family();
Family mixtral_family();
Family qwen3_moe_family();
Family glm_family();

}  // namespace awq
