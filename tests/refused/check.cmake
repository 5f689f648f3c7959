# Compiles a file that must not compile, and looks for the sentences that it wants to see: the rest of each line that begins
# with "// error: ".
#   cmake -DCOMPILER=... -DSOURCE=... -DARGUMENTS=... -P check.cmake
file(STRINGS ${SOURCE} wanted REGEX "^// error: ")
list(LENGTH wanted count)
if(count EQUAL 0)
    message(FATAL_ERROR "${SOURCE} wants no error")
endif()
# Without excerpts of the source, the sentences are in the messages or nowhere.
execute_process(COMMAND ${COMPILER} -std=c++20 ${ARGUMENTS} -fsyntax-only ${SOURCE}
    RESULT_VARIABLE failed OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(failed EQUAL 0)
    message(FATAL_ERROR "${SOURCE} compiles")
endif()
set(missing 0)
foreach(line IN LISTS wanted)
    string(REGEX REPLACE "^// error: " "" sentence "${line}")
    string(FIND "${output}" "${sentence}" found)
    if(found EQUAL -1)
        message("not said: ${sentence}")
        math(EXPR missing "${missing} + 1")
    endif()
endforeach()
if(missing GREATER 0)
    message(FATAL_ERROR "${output}")
endif()
message("${count} sentences")
