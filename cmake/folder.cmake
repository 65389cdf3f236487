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

function(awq_folder name)
  cmake_parse_arguments(arg "" "" "DEPS;LIBS" ${ARGN})
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
  set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  gtest_discover_tests(${program} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS ${label} TIMEOUT 300)
endfunction()
