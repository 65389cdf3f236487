# One target per folder of src/: awq_folder(text DEPS base LIBS PkgConfig::PCRE2) makes the library
# awq_text from every .cc of the folder but the tests, and one test program a *_test.cc.

set(AWQ_WARNINGS -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wundef -Wvla -Werror)
set(AWQ_HARDENING -fstack-protector-strong -D_GLIBCXX_ASSERTIONS)
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT AWQ_SANITIZE)
  list(APPEND AWQ_HARDENING -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()

add_library(awq_options INTERFACE)
target_include_directories(awq_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(awq_options INTERFACE
                       $<$<COMPILE_LANGUAGE:CXX>:${AWQ_WARNINGS};${AWQ_HARDENING};-fno-math-errno>
                       $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra>)
target_link_options(awq_options INTERFACE -Wl,-z,relro,-z,now)
if(AWQ_SANITIZE)
  target_compile_options(awq_options INTERFACE -U_FORTIFY_SOURCE
                                               -fsanitize=address,undefined -fno-sanitize-recover=all
                                               -fno-omit-frame-pointer)
  target_link_options(awq_options INTERFACE -fsanitize=address,undefined)
endif()
if(AWQ_FUZZ)
  target_compile_options(awq_options INTERFACE -fsanitize=fuzzer-no-link)
  target_compile_definitions(awq_options INTERFACE AWQ_FUZZING)
endif()

# Nothing that tests do themselves is hot, and optimizing what their expectations expand to would be a
# third of the whole build.
set(AWQ_TEST_OPTIONS $<$<CONFIG:Release>:-O1>)
if(AWQ_SANITIZE)
  set(AWQ_TEST_OPTIONS -O0)
endif()

# With AWQ_ONCE the folders' and the tests' headers that are expensive to read are read once a tree. A header of
# that kind serves only files with the same options, so there is one for libraries (made with awq_base), one for
# the programs that test, and what includes CLI11 has its own.
set(AWQ_HEADERS <algorithm> <array> <cmath> <cstdint> <functional> <map> <memory> <nlohmann/json.hpp> <optional>
                <random> <span> <string> <string_view> <vector>)
function(awq_precompile target)
  cmake_parse_arguments(arg "" "LIKE" "HEADERS" ${ARGN})
  if(AWQ_ONCE AND arg_LIKE)
    target_precompile_headers(${target} REUSE_FROM ${arg_LIKE})
  elseif(AWQ_ONCE)
    list(TRANSFORM arg_HEADERS REPLACE "(.+)" "$<$<COMPILE_LANGUAGE:CXX>:\\1>")
    target_precompile_headers(${target} PRIVATE ${arg_HEADERS})
  endif()
endfunction()

# What `make test` runs in the sanitized tree: the other tests run whole models and the program.
add_custom_target(sanitized_programs)

# Headers of tests: those of GoogleTest's definitions only.
function(awq_precompile_test program)
  if(AWQ_ONCE AND NOT TARGET awq_test_headers)
    file(WRITE ${CMAKE_BINARY_DIR}/test_headers.cc "int main() {}\n")
    add_executable(awq_test_headers ${CMAKE_BINARY_DIR}/test_headers.cc)
    target_link_libraries(awq_test_headers PRIVATE awq_options GTest::gtest Threads::Threads)
    target_compile_options(awq_test_headers PRIVATE ${AWQ_TEST_OPTIONS})
    awq_precompile(awq_test_headers HEADERS ${AWQ_HEADERS} <gtest/gtest.h>)
  endif()
  awq_precompile(${program} LIKE awq_test_headers)
endfunction()

function(awq_folder name)
  cmake_parse_arguments(arg "" "" "DEPS;LIBS;HEADERS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$|/main\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(TRANSFORM arg_DEPS PREPEND awq_)
  if(sources)
    add_library(awq_${name} STATIC ${sources})
    target_link_libraries(awq_${name} PUBLIC awq_options ${arg_DEPS} ${arg_LIBS} Threads::Threads)
    set_target_properties(awq_${name} PROPERTIES UNITY_BUILD ${AWQ_UNITY}
                                                 UNITY_BUILD_BATCH_SIZE 10)
    if(arg_HEADERS OR name STREQUAL "base")
      awq_precompile(awq_${name} HEADERS ${AWQ_HEADERS} ${arg_HEADERS})
    else()
      awq_precompile(awq_${name} LIKE awq_base)
    endif()
  else()
    add_library(awq_${name} INTERFACE)
    target_link_libraries(awq_${name} INTERFACE awq_options ${arg_DEPS} ${arg_LIBS} Threads::Threads)
  endif()
  foreach(test ${tests})
    awq_test(${test} awq_${name})
  endforeach()
endfunction()

# A test program from one source; its ctest label is the word before _test ("x_op_test.cc" is "op",
# likewise golden, property, cli), else "unit".
function(awq_test source)
  get_filename_component(program ${source} NAME_WE)
  string(REGEX MATCH "(op|golden|property|cli)_test$" match ${program})
  set(label unit)
  if(match)
    set(label ${CMAKE_MATCH_1})
  endif()
  add_executable(${program} ${source})
  target_link_libraries(${program} PRIVATE ${ARGN} GTest::gtest GTest::gtest_main)
  target_compile_definitions(${program} PRIVATE AWQ_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                                                AWQ_BINARY_DIR="${CMAKE_BINARY_DIR}")
  target_compile_options(${program} PRIVATE ${AWQ_TEST_OPTIONS})
  awq_precompile_test(${program})
  if(label MATCHES "unit|op|property")
    add_dependencies(sanitized_programs ${program})
  endif()
  set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  gtest_discover_tests(${program} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS ${label} TIMEOUT 300)
endfunction()
