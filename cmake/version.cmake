# Run at every build (cmake -P): writes OUTPUT with the version that git tells, only when it changed.
# A source archive without .git says the release it was cut from.
set(version "0.1.0")
find_program(GIT git)
if(GIT AND EXISTS ${SOURCE}/.git)
  execute_process(COMMAND ${GIT} -c safe.directory=* -C ${SOURCE} describe --always --dirty
                          --match v[0-9]* --abbrev=10
                  OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET
                  RESULT_VARIABLE failed)
  if(NOT failed)
    string(REGEX REPLACE "^v" "" described "${described}")
    if(described MATCHES "^[0-9]+\\.[0-9]+\\.[0-9]+")
      set(version "${described}")
    else()
      set(version "${version}+${described}")
    endif()
  endif()
endif()
set(text "#pragma once\n#define AWQ_VERSION \"${version}\"\n")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} old)
endif()
if(NOT "${text}" STREQUAL "${old}")
  file(WRITE ${OUTPUT} "${text}")
endif()
